#!/bin/bash
# See otpd work: an enrollment and a login over a real SSH with a texted code, which a stand-in for the
# vendors takes by their own HTTP APIs.
# usage: packaging/demo.sh     as root, on Debian with Rust
#
# On a terminal you type the code yourself; without one the demo does it. Nothing on this machine
# changes but installed packages: sshd, otpd and the account live in namespaces of their own, on a
# throw-away copy of a small Debian under Cargo's target directory.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

[ "$(id -u)" = 0 ] || { echo "demo: needs root, for namespaces of its own" >&2; exit 2; }
command -v cargo >/dev/null || PATH=$PATH:$HOME/.cargo/bin
command -v cargo >/dev/null || { echo "demo: needs Rust (cargo)" >&2; exit 2; }

missing=()
for package in gcc libc6-dev libpam0g-dev pkg-config util-linux iproute2 mmdebstrap systemd-container; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  echo "Installing ${missing[*]}..."
  apt-get -o DPkg::Lock::Timeout=600 -qq update
  DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 -qq -y --no-install-recommends \
    install "${missing[@]}" >/dev/null
fi

target=$(cargo metadata --no-deps --format-version 1 --locked |
  sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
root=$target/box/root
log=$target/demo-root.log
mkdir -p "$target" # a fresh clone has none

echo "Building otpd and a small Debian to show it in (minutes the first time)..."
tests/box/mkroot.sh "$root" >"$log" 2>&1 &
mkroot=$!
{
  cargo build --quiet --release --locked -p otpd -p otpctl -p pam_otp &&
    cargo build --quiet --release --locked -p otpd_tests --bin carrier
} || {
  wait "$mkroot" # what it has fetched serves the next run
  exit 1
}
wait "$mkroot" || { cat "$log" >&2; exit 1; }

modules=("$root"/usr/lib/*/security)
exec tests/box/box.sh "$root" \
  -b "$PWD/tests/e2e:/ground" \
  -b "$target/release/otpd:/usr/sbin/otpd" \
  -b "$target/release/otpctl:/usr/bin/otpctl" \
  -b "$target/release/libpam_otp.so:${modules[0]#"$root"}/pam_otp.so" \
  -b "$target/release/carrier:/usr/local/bin/carrier" \
  -- env PYTHONDONTWRITEBYTECODE=1 python3 /ground/demo.py
