#!/bin/bash
# Make the packages: otpd_VERSION_ARCH.deb and otpd-VERSION.ARCH.rpm.
# usage: packaging/build.sh [--artifacts DIR] [--out DIR]
#
# DIR has otpd, otpctl and libpam_otp.so; without it they are built. The packages go to
# target/packages, unless --out says otherwise. What is in them, and where, stands in otpd/Cargo.toml;
# the version is the workspace's. The same sources and the same DIR give the same bytes.
set -euo pipefail

usage() { echo "usage: packaging/build.sh [--artifacts DIR] [--out DIR]" >&2; exit 2; }
artifacts=
out=
while [ $# -gt 0 ]; do
  [ $# -ge 2 ] || usage
  case $1 in
    --artifacts) artifacts=$(realpath "$2") ;;
    --out) out=$(realpath -m "$2") ;;
    *) usage ;;
  esac
  shift 2
done
cd "$(dirname "$(readlink -f "$0")")/.."

# Unoptimised: they run for seconds and would compile for minutes.
command -v cargo-deb >/dev/null || cargo install --quiet --locked --debug cargo-deb@3.8.0
command -v cargo-generate-rpm >/dev/null || cargo install --quiet --locked --debug cargo-generate-rpm@0.21.1

target=$(cargo metadata --no-deps --format-version 1 --locked |
  sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
if [ -z "$artifacts" ]; then
  cargo build --quiet --release --locked -p otpd -p otpctl -p pam_otp
  artifacts=$target/release
fi
out=${out:-$target/packages}
version=$(cargo metadata --no-deps --format-version 1 --locked |
  python3 -c 'import json, sys; print(next(p["version"] for p in json.load(sys.stdin)["packages"] if p["name"] == "otpd"))')
# Files carry the time of the last change, whenever the packages are made.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y Cargo.lock)}
export SOURCE_DATE_EPOCH

mkdir -p "$out"
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
# Both tools take "target/release" for what CARGO_TARGET_DIR says.
export CARGO_TARGET_DIR=$stage
release=$stage/release
umask 022
share=$release/share
mkdir -p "$share/bash-completion/completions" "$share/fish/vendor_completions.d"
install -m 755 "$artifacts/otpd" "$artifacts/otpctl" "$release/"
install -m 644 "$artifacts/libpam_otp.so" "$release/"
install -D -m 644 "$artifacts/libpam_otp.so" "$release/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH)/security/pam_otp.so"
"$artifacts/otpctl" completions bash >"$share/bash-completion/completions/otpctl"
"$artifacts/otpctl" completions fish >"$share/fish/vendor_completions.d/otpctl.fish"
"$artifacts/otpctl" completions zsh >"$release/_otpctl"
install -D -m 644 -t "$share/otpd/selinux" packaging/selinux/*
install -D -m 644 -t "$share/otpd/apparmor" packaging/apparmor/*
install -D -m 644 -t "$share/otpd/postgres" packaging/postgres/*
shopt -s nullglob
for page in packaging/man/*.[1-8]; do
  folder=$share/man/man${page##*.}
  mkdir -p "$folder"
  gzip -9n <"$page" >"$folder/${page##*/}.gz"
done
# Debian has two names for what changed; everything else that is written goes as it is.
install -D -m 644 -t "$release/doc" README.md packaging/doc/*.md
rm "$release/doc/CHANGELOG.md"
gzip -9n <packaging/doc/CHANGELOG.md >"$release/changelog.gz"
gzip -9n >"$release/changelog.Debian.gz" <<END
otpd ($version-1) unstable; urgency=medium

  * What changed is in /usr/share/doc/otpd/changelog.gz.

 -- The otpd authors <otpd@users.noreply.github.com>  $(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")
END

rm -f "$out"/otpd_*.deb "$out"/otpd-*.rpm
cargo deb --quiet --locked --compress-system --no-build --no-strip --no-dbgsym -p otpd --output "$out/"
cargo generate-rpm -p otpd --output "$out/"
ls "$out"/otpd-"$version"-*.rpm
