#!/usr/bin/env bash
# A job on several nodes, a rank on each and a thread on each core. One copy of a rank's data a node
# and the fewest messages:
#   sbatch --nodes=4 --cpus-per-task=64 slurm/multicore.sh jobs/kmeans.toml [OPTIONS OF cleave run]
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=2 # threads: the cores of a node
#SBATCH --time=01:00:00
#SBATCH --open-mode=append # a later attempt adds to what is printed
#SBATCH --signal=B:USR1@120 # so many seconds before time is over: see launch.sh
set -euo pipefail
# shellcheck source=slurm/launch.sh
source "${CLEAVE_HOME:-$SLURM_SUBMIT_DIR}/slurm/launch.sh"

launch run "${@:?give a job file}" -o "$(timings_of "$1")"
