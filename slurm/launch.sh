# shellcheck shell=bash
# What the batch scripts of this folder share: they read it, it is not submitted itself. What your
# site needs stands here, once for all of them.

# module load gcc openmpi hdf5     # those that Cleave was built with
CLEAVE=${CLEAVE:-cleave}           # the program, as all nodes can start it
LAUNCHER=${LAUNCHER:-srun}         # or mpirun
RESULTS=${RESULTS:-results}        # a folder that all nodes see
MOST_ATTEMPTS=${MOST_ATTEMPTS:-99} # a job that comes no further must not run for ever

if [[ $LAUNCHER != srun && $LAUNCHER != mpirun ]]; then
  echo "launch.sh: LAUNCHER must be srun or mpirun, not '$LAUNCHER'" >&2
  exit 2
fi

# name_of JOB.toml [KIND]: where this job's files lie. No two jobs meet there, nor two tasks of an
# array; all attempts of one do.
name_of() {
  local task=${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}
  mkdir -p "$RESULTS"
  echo "$RESULTS/$(basename "$1" .toml)${2:+-$2}-j${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}$task"
}

# timings_of JOB.toml: the timings file of an attempt that begins anew.
timings_of() {
  echo "$(name_of "$1")${SLURM_RESTART_COUNT:+-a$((SLURM_RESTART_COUNT + 1))}.h5"
}

# sockets: how many this node has.
sockets() {
  lscpu --parse=SOCKET | sed '/^#/d' | sort -u | wc -l
}

# hand_on: asks the launcher to have all ranks end early and save, as soon as there is one.
hand_on() {
  local launcher
  while [[ $waiting ]] && kill -0 "$waiting" 2>/dev/null; do
    if read -r launcher 2>/dev/null <"$said/launcher"; then
      kill -USR1 "$launcher" 2>/dev/null || true
      return 0
    fi
    sleep 0.1 || true
  done
}

# launch ARGUMENTS: starts cleave on all nodes in the layout that the job has asked for, each rank
# bound to cores of its own, and waits. Its status is that of the launcher.
launch() {
  local start ranks=$((SLURM_JOB_NUM_NODES * SLURM_NTASKS_PER_NODE))
  # mpirun fills one socket before the next, unless it is told what hybrid.sh asks of Slurm.
  local place=$SLURM_NTASKS_PER_NODE:node
  if [[ ${SLURM_NTASKS_PER_SOCKET-} == 1 ]] && (($(sockets) == SLURM_NTASKS_PER_NODE)); then
    place=1:socket
  fi
  case $LAUNCHER in
    srun) # from Slurm 22.05 on it does not take -c from the job
      start=(srun --mpi=pmix -N "$SLURM_JOB_NUM_NODES" -n "$ranks"
        --ntasks-per-node="$SLURM_NTASKS_PER_NODE"
        ${SLURM_NTASKS_PER_SOCKET:+"--ntasks-per-socket=$SLURM_NTASKS_PER_SOCKET"}
        -c "$SLURM_CPUS_PER_TASK" --cpu-bind=cores)
      export SLURM_PMIX_FENCE=ring # else a rank may die in MPI_Init: docs/clusters.md
      ;;
    mpirun)
      start=(mpirun -q -n "$ranks" --bind-to core
        --map-by "ppr:$place:PE=$SLURM_CPUS_PER_TASK")
      ;;
  esac
  attend "${start[@]}" "$CLEAVE" "$@" --threads "$SLURM_CPUS_PER_TASK"
}

# attend COMMAND: starts it, tells it of the job's end, and waits. Its status is that of the command.
attend() {
  local step status told
  # USR1 comes to this shell alone; the launcher hands it on to all ranks. TERM, when time is over
  # or by scancel, comes to everyone: this shell only stays until they have ended. Untrapped, either
  # would end the shell at once, and nothing would be resumed.
  waiting=
  said=
  trap 'asked=yes; hand_on' USR1
  trap 'ended=yes' TERM
  # A node that was cut off may run an earlier attempt yet. When it comes back, Slurm ends the step
  # of that number: it must not be this attempt's.
  for ((step = 0; step < ${SLURM_RESTART_COUNT:-0}; step++)); do
    srun --mpi=none -N 1 -n 1 true || true
  done
  if [[ ${asked-}${ended-} ]]; then
    return 75 # no time is left: all the work is
  fi
  # A shell of its own waits for the launcher: `wait` in one that gets signals may lose the status.
  said=$(mktemp -d) || return 1
  (
    trap : USR1 TERM
    status=0
    (
      echo "$BASHPID" >"$said/launcher"
      exec "$@"
    ) || status=$?
    echo "$status" >"$said/status"
    exit "$status"
  ) &
  waiting=$!
  while kill -0 "$waiting" 2>/dev/null; do
    if [[ ${asked-} ]]; then # again and again: a launcher without ranks has nobody to tell
      hand_on
      sleep 1 || true
    else
      wait "$waiting" || true
    fi
  done
  wait "$waiting" && status=0 || status=$?
  if read -r told 2>/dev/null <"$said/status"; then # else the disk was full
    status=$told
  fi
  rm -rf "$said"
  if [[ ${asked-} ]] && ((status == 128 + $(kill -l USR1))); then
    status=75 # asked before it listened
  fi
  return "$status"
}

# go_on_later STATUS: has Slurm start the same script again when the status says that work is left.
# TERM out of the blue is scancel: such a job must not come back.
go_on_later() {
  if [[ ${ended-} && ! ${asked-} ]]; then
    exit "$1"
  fi
  if (($1 == 75 && ${SLURM_RESTART_COUNT:-0} + 1 < MOST_ATTEMPTS)); then
    scontrol requeue "${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}"
  fi
  exit "$1"
}
