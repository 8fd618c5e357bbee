#!/bin/bash
# Build the root file system that the end-to-end tests and the demo run in, once.
# usage: mkroot.sh DIR
#
# It is the host's own Debian release (so what was built here runs there) from the host's own apt
# sources, with sshd and the tools the scenarios drive. The host itself gets a few apt packages at
# most; sshd is never installed on it. DIR.stamp remembers what built it, and a second call takes
# no time. Do not chmod the result: sshd refuses host keys that others can read.
set -euo pipefail

root=${1:?usage: mkroot.sh DIR}
[ "$(id -u)" = 0 ] || { echo "mkroot: needs root" >&2; exit 1; }
case $root in *[,:\\\ ]*) echo "mkroot: overlayfs cannot take this path: $root" >&2; exit 1 ;; esac

packages=(
  systemd systemd-sysv dbus libpam-systemd libpam-runtime libpam-modules libpam0g
  openssh-server openssh-client openssh-sftp-server sudo login passwd
  util-linux util-linux-extra bsdutils adduser procps iproute2 libgcc-s1
  rpm apparmor selinux-policy-dev make
  python3 python3-pexpect python3-paramiko faketime sqlite3 strace curl ca-certificates
)
# Debian has no package of the reference Varlink client; the hash pins what the tests talk with.
varlink="varlink==31.0.0 --hash=sha256:0d0629e5ca7e629f79ed84dc5a4f29e04f3cc83b24641528e91a41fa158e58e9"

# shellcheck source=/dev/null
. /etc/os-release
suite=${VERSION_CODENAME:?no VERSION_CODENAME in /etc/os-release}
want="$suite $(sha256sum <"$0" | cut -d' ' -f1)"

# The directory holds set-uid programs that nobody updates: nobody but root may enter it.
mkdir -p "$(dirname "$root")"
chmod 700 "$(dirname "$root")"

exec 9>"$root.lock"
flock 9
if [ -f "$root.stamp" ] && [ "$(cat "$root.stamp")" = "$want" ]; then exit 0; fi

install() {
  apt-get -o DPkg::Lock::Timeout=600 -qq update
  DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 -qq -y --no-install-recommends install "$@"
}
command -v mmdebstrap >/dev/null || install mmdebstrap
command -v systemd-nspawn >/dev/null || install systemd-container

# Only the distribution's own sources: what else the host has added may need keys the root lacks.
sources=()
for file in /etc/apt/sources.list /etc/apt/sources.list.d/"$ID".sources /etc/apt/sources.list.d/"$ID".list; do
  if [ -s "$file" ] && grep -q "$suite" "$file"; then sources+=("$file"); fi
done
[ ${#sources[@]} -gt 0 ] || { echo "mkroot: no apt source of $suite under /etc/apt" >&2; exit 1; }

echo "mkroot: building a $suite root in $root" >&2
rm -rf --one-file-system "$root" "$root.stamp"
mmdebstrap --quiet --variant=minbase --mode=root --include="$(IFS=,; echo "${packages[*]}")" \
  --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Retries "3"' \
  --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='force-unsafe-io' \
  "$suite" "$root" "${sources[@]}"

python3 -m pip --version >/dev/null 2>&1 || install python3 python3-pip
python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps \
  --require-hashes --target "$root/usr/local/lib/otpd-tests" -r /dev/stdin <<<"$varlink"

echo "127.0.0.1 localhost box" >"$root/etc/hosts" # the host name of every box
echo "$want" >"$root.stamp"
