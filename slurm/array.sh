#!/usr/bin/env bash
# Many job files, a Slurm job for each, as an array; here 8 files, 4 at a time:
#   sbatch --array=0-7%4 slurm/array.sh runs/*.toml
# Slurm keeps the list with the job: what is added to the folder later does not move it.
#SBATCH --array=0 # the numbers of the files, from 0
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=1
#SBATCH --time=01:00:00
#SBATCH --open-mode=append # a later attempt adds to what is printed
#SBATCH --signal=B:USR1@120 # so many seconds before time is over: see launch.sh
set -euo pipefail
# shellcheck source=slurm/launch.sh
source "${CLEAVE_HOME:-$SLURM_SUBMIT_DIR}/slurm/launch.sh"

jobs=("$@")
job=${jobs[SLURM_ARRAY_TASK_ID]:?the array has more tasks than there are job files}
launch run "$job" -o "$(timings_of "$job")"
