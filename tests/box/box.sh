#!/bin/bash
# Run a command as root in a throw-away copy of a root file system, away from the host.
# usage: box.sh ROOT [-b HOSTPATH:BOXPATH]... -- COMMAND ARG...
#
# The box has its own mounts (an overlay on ROOT whose upper layer is in RAM), processes, network
# (only lo, so every port is free), host name, IPC and control groups. What is bound in is
# read-only. All changes vanish when the command ends, and every process in the box is killed
# with it; so they are when this script or what started it is killed.
set -euo pipefail

root=$(readlink -e "${1:?usage: box.sh ROOT [-b HOSTPATH:BOXPATH]... -- COMMAND ARG...}")
shift
binds=
while [ "${1:-}" = -b ]; do
  binds+="$2"$'\n'
  shift 2
done
if [ "${1:-}" = -- ]; then shift; fi

export BOX_ROOT=$root BOX_BINDS=$binds
# shellcheck disable=SC2016 # the inner shell expands it
exec setpriv --pdeathsig KILL unshare --mount --propagation private --pid --fork --kill-child=KILL --net --uts --ipc --cgroup \
  bash -euo pipefail -c '
  ram=/mnt                          # only in this mount namespace
  mount -t tmpfs -o size=2g,mode=755 box $ram
  mkdir $ram/upper $ram/work $ram/root
  r=$ram/root
  mount -t overlay -o "lowerdir=$BOX_ROOT,upperdir=$ram/upper,workdir=$ram/work" box $r

  mount -t proc -o nosuid,nodev,noexec proc $r/proc
  mount -t sysfs -o ro,nosuid,nodev,noexec sysfs $r/sys
  mount -t tmpfs -o mode=755,nosuid dev $r/dev
  for node in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0; do
    IFS=: read -r name major minor <<<"$node"
    mknod -m 666 "$r/dev/$name" c "$major" "$minor"
  done
  mkdir $r/dev/pts $r/dev/shm
  mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts $r/dev/pts
  ln -s pts/ptmx $r/dev/ptmx
  ln -s /proc/self/fd $r/dev/fd
  ln -s /proc/self/fd/0 $r/dev/stdin
  ln -s /proc/self/fd/1 $r/dev/stdout
  ln -s /proc/self/fd/2 $r/dev/stderr
  mount -t tmpfs -o mode=1777 shm $r/dev/shm
  mount -t tmpfs -o mode=755,nosuid,nodev run $r/run
  mount -t tmpfs -o mode=1777 tmp $r/tmp
  mkdir $r/run/lock $r/run/sshd

  while IFS=: read -r from to; do
    [ -n "$from" ] || continue
    if [ -d "$from" ]; then
      mkdir -p "$r$to"
    else
      mkdir -p "$(dirname "$r$to")"
      : >>"$r$to"
    fi
    mount --bind "$from" "$r$to"
    mount -o remount,bind,ro "$r$to"
  done <<<"$BOX_BINDS"

  hostname box
  ip link set lo up
  mkdir $r/.old
  cd $r
  pivot_root . .old
  umount -l /.old
  rmdir /.old
  exec env -i HOME=/root TERM="${TERM:-xterm}" LANG=C.UTF-8 \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
' box "$@"
