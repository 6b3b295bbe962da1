#!/usr/bin/env bash
# A job on several nodes, a rank on each socket and a thread on each of its cores, so that memory is
# near the threads that use it. For nodes of 2 sockets with 32 cores each:
#   sbatch --nodes=4 --ntasks-per-node=2 --cpus-per-task=32 slurm/hybrid.sh jobs/kmeans.toml
# Further arguments are options of cleave run. Slurm refuses more ranks a node than it has sockets:
# on nodes of one socket, --ntasks-per-node=1.
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=2 # ranks: the sockets of a node
#SBATCH --ntasks-per-socket=1
#SBATCH --cpus-per-task=1   # threads: the cores of a socket
#SBATCH --time=01:00:00
#SBATCH --open-mode=append # a later attempt adds to what is printed
#SBATCH --signal=B:USR1@120 # so many seconds before time is over: see launch.sh
set -euo pipefail
# shellcheck source=slurm/launch.sh
source "${CLEAVE_HOME:-$SLURM_SUBMIT_DIR}/slurm/launch.sh"

launch run "${@:?give a job file}" -o "$(timings_of "$1")"
