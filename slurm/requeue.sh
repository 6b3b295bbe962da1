#!/usr/bin/env bash
# A job that takes longer than a job may: it keeps what is done, Slurm starts it again, and it goes
# on from there until it is done.
#   sbatch --nodes=4 --ntasks-per-node=64 slurm/requeue.sh jobs/ep.toml [OPTIONS OF cleave run]
# A later attempt may have another layout, while it waits:
#   scontrol update JobId=NUMBER NumNodes=2-2 NumTasks=128 NumCPUs=128
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=2 # ranks
#SBATCH --cpus-per-task=1   # threads
#SBATCH --time=01:00:00
#SBATCH --requeue # also when a node fails
#SBATCH --open-mode=append # a later attempt adds to what is printed
#SBATCH --signal=B:USR1@120 # so many seconds before time is over: see launch.sh
set -euo pipefail
# shellcheck source=slurm/launch.sh
source "${CLEAVE_HOME:-$SLURM_SUBMIT_DIR}/slurm/launch.sh"

name=$(name_of "${1:?give a job file}")
status=0
launch run "$@" -o "$name.h5" --checkpoint "$name.checkpoint" --resume || status=$?
go_on_later $status
