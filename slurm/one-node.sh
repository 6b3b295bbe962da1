#!/usr/bin/env bash
# A job on one node, a rank on each core:
#   sbatch --ntasks-per-node=64 slurm/one-node.sh jobs/ep.toml [OPTIONS OF cleave run]
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=2 # ranks: the cores of a node
#SBATCH --cpus-per-task=1
#SBATCH --time=01:00:00
#SBATCH --open-mode=append # a later attempt adds to what is printed
#SBATCH --signal=B:USR1@120 # so many seconds before time is over: see launch.sh
set -euo pipefail
# shellcheck source=slurm/launch.sh
source "${CLEAVE_HOME:-$SLURM_SUBMIT_DIR}/slurm/launch.sh"

launch run "${@:?give a job file}" -o "$(timings_of "$1")"
