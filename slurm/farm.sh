#!/usr/bin/env bash
# Any commands, as many at a time as the job's nodes have cores (the workload `command`):
#   sbatch --nodes=4 --cpus-per-task=64 slurm/farm.sh jobs/command.toml [OPTIONS OF cleave run]
# What has ended stands in the job log. When time is over, or a node fails, Slurm starts the job
# again, and it runs the commands that are left.
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=2 # commands at a time on a node
#SBATCH --time=01:00:00
#SBATCH --requeue
#SBATCH --open-mode=append # a later attempt adds to what is printed
#SBATCH --signal=B:USR1@120 # so many seconds before time is over: see launch.sh
set -euo pipefail
# shellcheck source=slurm/launch.sh
source "${CLEAVE_HOME:-$SLURM_SUBMIT_DIR}/slurm/launch.sh"

status=0
launch run "${@:?give a job file}" -o "$(timings_of "$1")" \
  -p joblog="$(name_of "$1").joblog" -p resume=true || status=$?
go_on_later $status
