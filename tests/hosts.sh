#!/usr/bin/env bash
# Several "hosts" on one machine, each with network, host name, process table, /tmp and /dev/shm of
# its own; nothing of it reaches the machine's network. For tests over TCP.
#
#   eval "$(tests/hosts.sh up N [SHARED])"   starts h1 ... hN; SHARED: a folder that all of them see
#   tests/hosts.sh run mpirun -n 4 PROGRAM   runs a command on h1; mpirun there knows the hosts
#   tests/hosts.sh on I COMMAND              runs a command on hI
#   tests/hosts.sh crash I | start I         kills all that runs on hI, I > 1 | begins it again
#   tests/hosts.sh cut I | heal I            takes its network away | gives it back
#   tests/hosts.sh down                      ends them
#
# Needs root. HOSTS_SLOTS=2: slots of a host. HOSTS_LIFE_S=3600: they end by themselves.
# h1 encloses the others' processes: its end is the end of all.
set -euo pipefail
verb=${1-}
shift || true

# As the first process of a host; $HOSTS is the folder that describes all of them.
be_host() {
  local number=$1 count shared net life_s
  # shellcheck source=/dev/null
  . "$HOSTS/settings"
  hostname "h$number"
  mount --make-rprivate /
  if [[ $shared == /tmp/* || $HOSTS == /tmp/* ]]; then
    own_tmp
  fi
  mount -t tmpfs -o mode=1777,size=512m tmpfs /dev/shm
  mount --bind "$HOSTS/names" /etc/hosts
  ip link set lo up
  echo 20 >/proc/sys/net/ipv4/neigh/default/retrans_time_ms || true # a lost first ARP costs 1 s
  if ((number == 1)); then
    ip link add br0 address 02:00:00:00:00:01 type bridge
    ip link set br0 up
    ip address add "$net.1/24" dev br0
    for ((other = 2; other <= count; other++)); do
      start_host "$other"
      plug_in "$other"
    done
    for ((other = 2; other <= count; other++)); do
      await test -e "$HOSTS/h$other.up"
    done
  else
    await ip link show eth0
    ip address add "$net.$number/24" dev eth0
    ip link set eth0 up
  fi
  touch "$HOSTS/h$number.up"
  trap 'exit 0' TERM
  sleep "$life_s" &
  wait $! # the shell takes in whatever is orphaned here meanwhile
}

# A /tmp in which only the shared folders are those of the machine.
own_tmp() {
  local keep=$HOSTS/keep$number folder i=0
  mkdir -p "$keep"
  mount -t tmpfs -o size=1m tmpfs "$keep"
  for folder in "$HOSTS" "$shared"; do
    mkdir "$keep/$((i += 1))"
    mount --rbind "$folder" "$keep/$i"
  done
  mkdir "$keep/tmp"
  mount -t tmpfs -o mode=1777 tmpfs "$keep/tmp"
  i=0
  for folder in "$HOSTS" "$shared"; do
    i=$((i + 1))
    [[ $folder == /tmp/* ]] || continue
    mkdir -p "$keep/tmp/${folder#/tmp/}"
    mount --rbind "$keep/$i" "$keep/tmp/${folder#/tmp/}"
  done
  mount --rbind "$keep/tmp" /tmp
}

start_host() {
  setsid unshare --fork --pid --mount-proc --net --uts --ipc --mount --kill-child=KILL -- \
    bash "$HOSTS/hosts.sh" be "$1" </dev/null >"$HOSTS/h$1.log" 2>&1 &
  local unsharing=$!
  await separate "$unsharing"
  echo "$unsharing" >"$HOSTS/h$1.pid"
}

plug_in() {
  ip link delete "v$1" 2>/dev/null || true # of a host that has crashed
  ip link add "v$1" type veth peer name eth0 netns "$(cat "$HOSTS/h$1.pid")"
  ip link set "v$1" master br0
  ip link set "v$1" up
}

separate() {
  [[ $(readlink "/proc/$1/ns/net") != "$(readlink /proc/self/ns/net)" ]]
}

await() {
  for ((try = 0; try < 1000; try++)); do
    "$@" >/dev/null 2>&1 && return
    sleep 0.01
  done
  echo "hosts.sh: in vain: $*" >&2
  exit 1
}

# The first process inside the namespaces that an `unshare` made.
inside() {
  tr -d ' ' <"/proc/$1/task/$1/children"
}

enter() {
  exec nsenter -t "$1" -m -u -i -n -p -- "${@:2}"
}

on_first() {
  enter "$(cat "$HOSTS/h1.inside")" "$@"
}

# Process ids are used again, and the hosts may have ended long ago.
is_ours() {
  { tr '\0' ' ' <"/proc/$1/cmdline"; } 2>/dev/null | grep -qF "$HOSTS/hosts.sh"
}

gone() {
  ! is_ours "$1"
}

case $verb in
  up)
    count=${1-2}
    shared=$(realpath "${2-.}")
    net=10.214.1
    life_s=${HOSTS_LIFE_S-3600}
    HOSTS=$(mktemp -d /tmp/hosts.XXXXXX)
    export HOSTS
    cp "$0" "$HOSTS/hosts.sh" # where the hosts see it
    declare -p count shared net life_s | sed 's/^declare -- //' >"$HOSTS/settings"
    echo "127.0.0.1 localhost" >"$HOSTS/names"
    for ((i = 1; i <= count; i++)); do
      echo "$net.$i h$i" >>"$HOSTS/names"
      echo "h$i slots=${HOSTS_SLOTS-2}" >>"$HOSTS/hostfile"
    done
    cat >"$HOSTS/agent" <<'END'
#!/usr/bin/env bash
# What mpirun calls instead of ssh: agent [options] host command...
while [[ $1 == -* ]]; do shift; done
exec bash "$HOSTS/hosts.sh" enter "${1#h}" /bin/sh -c "${*:2}"
END
    chmod +x "$HOSTS/agent"
    start_host 1
    await test -e "$HOSTS/h1.up"
    inside "$(cat "$HOSTS/h1.pid")" >"$HOSTS/h1.inside"
    echo "export HOSTS=$HOSTS"
    ;;
  run)
    # shellcheck disable=SC2016
    on_first env OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_plm=rsh \
      OMPI_MCA_plm_rsh_agent="$HOSTS/agent" OMPI_MCA_orte_default_hostfile="$HOSTS/hostfile" \
      bash -c 'cd "$0" && exec "$@"' "$PWD" "$@"
    ;;
  on)
    number=$1
    shift
    # shellcheck disable=SC2016
    command=(bash -c 'cd "$0" && exec "$@"' "$PWD" "$@")
    if ((number == 1)); then
      on_first "${command[@]}"
    else
      on_first bash "$HOSTS/hosts.sh" enter "$number" "${command[@]}"
    fi
    ;;
  crash) on_first bash -c "kill -KILL \$(cat $HOSTS/h$1.pid)" ;;
  start)
    rm -f "$HOSTS/h$1.up"
    (on_first bash "$HOSTS/hosts.sh" again "$1")
    await test -e "$HOSTS/h$1.up"
    ;;
  cut) on_first ip link set "v$1" down ;;
  heal) on_first ip link set "v$1" up ;;
  down)
    for process in "$(cat "$HOSTS/h1.inside")" "$(cat "$HOSTS/h1.pid")"; do
      ! is_ours "$process" || kill -KILL "$process" 2>/dev/null || true
      await gone "$process"
    done
    rm -rf "$HOSTS"
    ;;
  # Within the hosts:
  be) be_host "$1" ;;
  enter) enter "$(inside "$(cat "$HOSTS/h$1.pid")")" "${@:2}" ;;
  again)
    start_host "$1"
    plug_in "$1"
    ;;
  *)
    sed -n '2,13s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
