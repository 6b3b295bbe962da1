#!/usr/bin/env bash
# A real Slurm of several nodes on this one machine, for tests: without systemd, and nothing of it
# reaches the machine's network. On the hosts of tests/hosts.sh: h1 is the login host, with the
# controller; h2, h3 ... are the nodes, with names, networks, /tmp and /dev/shm of their own.
#
#   eval "$(slurm/cluster/cluster.sh up [SHARED])"  starts it; SHARED: a folder that all nodes see
#   slurm/cluster/cluster.sh login sbatch JOB.sh    runs a command on the login host
#   slurm/cluster/cluster.sh on I COMMAND           or on hI
#   slurm/cluster/cluster.sh crash I | start I      kills all that runs on node hI | begins it again
#   slurm/cluster/cluster.sh cut I | heal I         takes its network away | gives it back
#   slurm/cluster/cluster.sh restart I              a new slurmd on hI, whose own was killed
#   slurm/cluster/cluster.sh down                   ends it
#
# Needs root and the packages slurm-wlm, munge and iproute2. Settings, from the environment:
#   CLUSTER_NODES=3        nodes
#   CLUSTER_CORES=2        cores that Slurm believes each node to have: they may be more than there are
#   CLUSTER_SOCKETS=1      sockets on which it believes those cores to be, the same number on each
#   CLUSTER_MEMORY=4000    MiB that it believes each to have
#   CLUSTER_SILENCE_S=60   after so long a silent node counts as down
#   HOSTS_LIFE_S=3600      it ends by itself
set -euo pipefail
export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
make_hosts=$(realpath "$(dirname "$0")/../../tests/hosts.sh")
verb=${1-}
shift || true

configure() {
  local cluster=$HOSTS/slurm
  chmod 755 "$HOSTS" # munge wants its socket to be reachable by all
  mkdir -p "$cluster/log" "$cluster/state"
  dd if=/dev/urandom of="$cluster/munge.key" bs=1024 count=1 status=none
  chmod 400 "$cluster/munge.key"
  # MpiDefault=none as at many sites. cred_expire: a requeued job waits for so long.
  cat >"$cluster/slurm.conf" <<END
ClusterName=cleave
SlurmctldHost=h1
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$cluster/munge.socket,cred_expire=5
CommunicationParameters=NoCtldInAddrAny,NoAddrCache
StateSaveLocation=$cluster/state
SlurmdSpoolDir=$cluster/spool.%n
SlurmctldPidFile=$cluster/slurmctld.pid
SlurmdPidFile=$cluster/slurmd.%n.pid
SlurmctldLogFile=$cluster/log/slurmctld.log
SlurmdLogFile=$cluster/log/slurmd.%n.log
MailProg=/bin/true
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/affinity
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=200
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=1,sched_min_interval=0
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/filetxt
JobCompLoc=$cluster/log/ended
SwitchType=switch/none
PropagateResourceLimits=NONE
ReturnToService=2
KillWait=3
CompleteWait=0
SlurmctldTimeout=30
SlurmdTimeout=${CLUSTER_SILENCE_S-60}
SlurmdParameters=config_overrides
NodeName=h[2-$((nodes + 1))] Sockets=$sockets CoresPerSocket=$((${CLUSTER_CORES-2} / sockets)) RealMemory=${CLUSTER_MEMORY-4000}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE
END
}

# What the commands of Slurm and Open MPI need to know. The nodes share this machine's cores, of
# which Open MPI cannot know: with yield_when_idle a barrier takes microseconds, without it 10 ms.
on() {
  export SLURM_CONF=$HOSTS/slurm/slurm.conf OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
  export OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_pml=ob1
  exec "$make_hosts" on "$@"
}

# daemon I NAME COMMAND...: on host I, in the background, with what it prints in a log.
daemon() {
  (cd / && on "$1" setsid "${@:3}") </dev/null >"$HOSTS/slurm/log/$2.out" 2>&1 &
}

start_node() {
  daemon "$1" "slurmd.h$1" slurmd -D -N "h$1" -f "$HOSTS/slurm/slurm.conf"
}

await() {
  for ((try = 0; try < 400; try++)); do
    "$@" >/dev/null 2>&1 && return
    sleep 0.05
  done
  echo "cluster.sh: in vain: $*" >&2
  tail -n 5 "$HOSTS"/slurm/log/* >&2
  "$make_hosts" down
  exit 1
}

controller_answers() {
  (on 1 scontrol ping)
}

nodes_are_idle() {
  [[ $(on 1 sinfo --noheader --format='%D %T') == "$nodes idle" ]]
}

case $verb in
  up)
    for program in munged slurmctld slurmd sinfo ip unshare nsenter; do
      command -v $program >/dev/null || {
        echo "cluster.sh: no $program here; scripts/setup --all installs it" >&2
        exit 1
      }
    done
    nodes=${CLUSTER_NODES-3}
    sockets=${CLUSTER_SOCKETS-1}
    made=$("$make_hosts" up $((nodes + 1)) "${1-.}")
    eval "$made"
    configure
    daemon 1 munged munged --foreground --key-file="$HOSTS/slurm/munge.key" \
      --socket="$HOSTS/slurm/munge.socket" --pid-file="$HOSTS/slurm/munged.pid" \
      --log-file="$HOSTS/slurm/log/munged.log" --seed-file="$HOSTS/slurm/munge.seed"
    await test -S "$HOSTS/slurm/munge.socket"
    daemon 1 slurmctld slurmctld -D -i -f "$HOSTS/slurm/slurm.conf"
    await controller_answers
    for ((i = 2; i <= nodes + 1; i++)); do
      start_node "$i"
    done
    await nodes_are_idle
    echo "$made"
    ;;
  login) on 1 "$@" ;;
  on) on "$@" ;;
  restart) start_node "$1" ;; # its slurmd alone
  start)
    "$make_hosts" start "$1"
    start_node "$1"
    ;;
  crash | cut | heal | down) "$make_hosts" "$verb" "$@" ;;
  *)
    sed -n '2,19s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
