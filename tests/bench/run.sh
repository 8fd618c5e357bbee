#!/bin/bash
# Measures otpd beside what people would use instead, and prints one table; README.md says how to read it.
# usage: tests/bench/run.sh [--rounds N] [--only NAME]... [--short] [--json FILE] [--directory DIR]
#        as root, on Debian with Rust
#
# --only: cycles, memory, lone, module, ssh, start, crowd, store, postgres or million; may be repeated, and
# million runs only where it is named, or with --short. --short: one round of small numbers, to see that all
# of it works. --json: every round's figures. --directory: on which disk (/var/tmp). Installs and builds
# what it needs. A row that cannot be measured is a failure of the run, a figure that is not met is none.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
given=()
profile=release
while [ $# -gt 0 ]; do
  case $1 in
    --json) given+=(--json "$(realpath "${2:?--json takes a file}")"); shift ;; # before the directory changes
    --short) given+=(--short); profile=dev ;;
    --help | -h) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit ;;
    *) given+=("$1") ;;
  esac
  shift
done
cd "$here/../.."
[ "$(id -u)" = 0 ] || { echo "run.sh: needs root: PAM modules and a mount namespace" >&2; exit 2; }
command -v cargo >/dev/null || PATH=$PATH:$HOME/.cargo/bin

missing=()
need() { # PACKAGE PROGRAM-OR-FILE
  command -v "$2" >/dev/null || compgen -G "$2" >/dev/null || missing+=("$1")
}
need gcc gcc
need libc6-dev /usr/include/stdlib.h
need libpam0g-dev /usr/include/security/pam_appl.h
need binutils strip
need strace strace
need util-linux unshare
need python3 python3
need redis-server redis-server
need nodejs node
need npm npm
need libpam-google-authenticator google-authenticator
need postgresql '/usr/lib/postgresql/*/bin/pgbench'
need libpam-oath '/lib/*/security/pam_oath.so'
if [ ${#missing[@]} -gt 0 ]; then
  # What is measured is started here.
  tests/install.sh "${missing[@]}" >&2
fi

target=$(cargo metadata --no-deps --format-version 1 --locked |
  sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
tools=$target/bench
mkdir -p "$tools"
# What is measured is built as it is delivered, without features that only what measures it asks for.
cargo build --quiet --release --locked -p otpd -p otpctl -p pam_otp
# The vendor of the ssh row.
cargo build --quiet --release --locked -p otpd_tests --bin carrier
# What measures: --short has no figures to spoil, and the release profile takes minutes for these four.
cargo build --quiet --profile "$profile" --locked -p otpd_bench
gcc -O2 -Wall -Wextra -Werror -shared -fPIC -o "$tools/libnss_bench.so.2" tests/bench/directory.c
gcc -O2 -Wall -Wextra -Werror -rdynamic -o "$tools/login" tests/bench/login.c -lpam
if ! cmp -s tests/bench/express/package-lock.json "$tools/express/package-lock.json"; then
  rm -rf "$tools/express" "$tools/express.new"
  cp -r tests/bench/express "$tools/express.new"
  tests/again.sh npm --prefix "$tools/express.new" ci --silent --no-audit --no-fund >&2
  mv "$tools/express.new" "$tools/express"
fi
cp tests/bench/express/server.js "$tools/express/"
tests/box/mkroot.sh "$target/box/root" >&2

# A mount namespace of its own, for the accounts of directory.c; nothing of the host changes.
export PYTHONDONTWRITEBYTECODE=1
exec unshare --mount --propagation private tests/bench/bench.py \
  --programs "$target/release" --gauges "$target/${profile/#dev/debug}" --tools "$tools" \
  --box "$target/box/root" "${given[@]}"
