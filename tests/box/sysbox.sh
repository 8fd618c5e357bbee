#!/bin/bash
# Boot a throw-away copy of a root file system with its own systemd as PID 1, run a command in it
# as root once it is up, then power it off.
# usage: sysbox.sh ROOT [-b HOSTPATH:BOXPATH]... -- COMMAND ARG...
#
# A command that ends with status 133 has the machine shut down and started again, and is run anew
# with the number of the start in SYSBOX_BOOT.
#
# systemd-nspawn boots it; the host needs no systemd of its own. As with box.sh: changes go to RAM,
# the network is only lo, binds are read-only, nothing on the host changes, and the kernel cleans up
# after kill -9. The console goes to the file SYSBOX_CONSOLE, if set.
set -euo pipefail

if [ -z "${SYSBOX_INSIDE:-}" ]; then
  # Outside: a control group for the guest, since a systemd must own its subtree, and namespaces that
  # end with this process. Hierarchies differ between hosts: one for v2, several for v1 or hybrid.
  groups=()
  for hierarchy in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do
    if [ -e "$hierarchy/cgroup.procs" ]; then
      mkdir "$hierarchy/otpd-sysbox-$$"
      groups+=("$hierarchy/otpd-sysbox-$$")
    fi
  done
  remove_groups() {
    # The kernel empties a group a moment after its last process is reaped, and the hierarchies of v1
    # do not tell when. A try takes a millisecond itself.
    local group
    for group in "${groups[@]}"; do
      for _ in {1..1000}; do
        find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null || true
        [ -d "$group" ] || break
      done
    done
  }
  trap remove_groups EXIT
  SYSBOX_INSIDE=1 SYSBOX_GROUPS="${groups[*]}" SYSBOX_NAME="otpd-sysbox-$$" setpriv --pdeathsig KILL \
    unshare --mount --propagation private --pid --fork --kill-child=KILL --mount-proc "$0" "$@" <&0 &
  inside=$!
  trap 'kill -KILL $inside; exit 143' INT TERM HUP
  wait "$inside" && status=0 || status=$?
  exit "$status"
fi

root=$(readlink -e "${1:?usage: sysbox.sh ROOT [-b HOSTPATH:BOXPATH]... -- COMMAND ARG...}")
shift
binds=()
while [ "${1:-}" = -b ]; do
  binds+=("--bind-ro=$2")
  shift 2
done
if [ "${1:-}" = -- ]; then shift; fi
console=$(realpath "${SYSBOX_CONSOLE:-/dev/null}")

mount -t tmpfs -o mode=755 run /run
mount -t tmpfs -o size=4g,mode=755 box /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay -o "lowerdir=$root,upperdir=/mnt/upper,workdir=/mnt/work" box /mnt/root
echo box >/mnt/root/etc/hostname # the root has its builder's, and systemd believes the file

cd /
enter() {
  nsenter --target "$leader" --mount --uts --ipc --net --pid --cgroup --root -- \
    /usr/bin/env -i HOME=/root TERM="${TERM:-xterm}" LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin SYSBOX_BOOT="$boot" \
    sh -c 'cd /; exec "$@"' sh "$@"
}

start() {
  local state
  rm -f /run/announced /run/alive
  # systemd-nspawn announces its guest's first process, and later that the guest has started.
  exec {announced}< <(exec python3 -c '
import socket
inbox = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
inbox.bind("/run/announced")
inbox.settimeout(90)
print("listening", flush=True)
said = {}
while said.get("READY") != "1":
    said.update(line.split("=", 1) for line in inbox.recv(4096).decode().splitlines() if "=" in line)
print(said["X_NSPAWN_LEADER_PID"], flush=True)
')
  read -r _ <&"$announced"

  # Whoever holds the other end of this pipe lives as long as the guest does.
  mkfifo /run/alive
  (
    for group in $SYSBOX_GROUPS; do echo 0 >"$group/cgroup.procs"; done
    NOTIFY_SOCKET=/run/announced systemd-nspawn --quiet --register=no --keep-unit --machine="$SYSBOX_NAME" \
      --hostname=box --directory=/mnt/root --private-network --resolv-conf=off --timezone=off --link-journal=no \
      --console=pipe --notify-ready=yes "${binds[@]}" --boot 9>&-
  ) </dev/null >>"$console" 2>&1 9>/run/alive &
  exec {alive}</run/alive

  read -r leader <&"$announced" || { echo "sysbox: systemd-nspawn did not start a systemd" >&2; exit 70; }
  exec {announced}<&-
  state=$(enter timeout 60 systemctl is-system-running --wait) || {
    echo "sysbox: systemd is $state" >&2
    enter systemctl --failed --no-pager >&2 || true
  }
}

stop() { # SECONDS to wait at most
  kill -s RTMIN+4 "$leader" 2>/dev/null || true # systemd's order to power off
  read -r -t "$1" _ <&"$alive" || true
  exec {alive}<&-
}

boot=1
start
while true; do
  enter "$@" && status=0 || status=$?
  [ "$status" = 133 ] || break
  # As by the command reboot: everything is shut down in order, and comes up on the same files.
  stop 60
  wait
  boot=$((boot + 1))
  start
done
stop 5
exit "$status"
