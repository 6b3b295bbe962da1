#!/usr/bin/env bash
# A scaling study on 1, 2, 4 ... cores of this job's nodes, up to all of them. strong: the same work
# on more cores; weak: the job's work for each core.
#   sbatch --nodes=4 --ntasks-per-node=64 slurm/study.sh strong jobs/ep.toml [OPTIONS OF cleave study]
# Then: cleave report results/ep-strong-jNUMBER -o report
#
# Small points leave nodes of this job idle. For many nodes, write a study file and let
# `cleave study FILE --launcher slurm` submit a job of its own for each number of nodes. By
# LAUNCHER=mpirun a study is of one node.
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=2 # the cores of a node
#SBATCH --cpus-per-task=1
#SBATCH --exclusive # nobody else disturbs what is measured
#SBATCH --time=01:00:00
#SBATCH --requeue
#SBATCH --open-mode=append # a later attempt adds to what is printed
#SBATCH --signal=B:USR1@120 # so many seconds before time is over: see launch.sh
set -euo pipefail
# shellcheck source=slurm/launch.sh
source "${CLEAVE_HOME:-$SLURM_SUBMIT_DIR}/slurm/launch.sh"

mode=${1-}
if [[ $mode != strong && $mode != weak ]]; then
  echo "study.sh: begin with strong or weak, then the job file" >&2
  exit 2
fi
if [[ $LAUNCHER == mpirun ]] && ((SLURM_JOB_NUM_NODES > 1)); then
  echo "study.sh: by mpirun a study is of one node: give --nodes=1, or LAUNCHER=srun" >&2
  exit 2
fi
job=$(realpath "${2:?give a job file}")
study=$(name_of "$job" "$mode")
quoted=${job//\\/\\\\} # as TOML wants it
quoted=${quoted//\"/\\\"}
cat >"$study.toml" <<END
job = "$quoted"
mode = "$mode"
ranks = "1..$((SLURM_JOB_NUM_NODES * SLURM_NTASKS_PER_NODE))"
threads = [1]
[measure]
warmup = 1
repetitions = 20
half_width = 0.02
[slurm]
cores_per_node = $SLURM_NTASKS_PER_NODE
END
[[ ! -e $study/study.json ]] || set -- "$@" --resume # a later attempt
# USR1 ends the launch under way. The repetitions done are kept, and the next attempt does the rest.
status=0
attend "$CLEAVE" study "$study.toml" -o "$study" --launcher "$LAUNCHER" "${@:3}" || status=$?
go_on_later $status
