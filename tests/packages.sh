#!/bin/bash
# Judge the packages that packaging/build.sh made.
# usage: tests/packages.sh DIR [--long]     --long: built once more they must be the same, byte for byte
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
folder=$(realpath "${1:?usage: tests/packages.sh DIR [--long]}")
deb=$(echo "$folder"/otpd_*.deb)
rpm=$(echo "$folder"/otpd-*.rpm)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failed=0
complain() { echo "packages: $1" >&2; failed=1; }
has() { # WHAT PATTERN, in the text on standard input
  grep -Eq -- "$2" || complain "$1 lacks $2"
}

# What is odd on purpose, and why, stands in packaging/deb/lintian-overrides.
lintian --allow-root --fail-on error,warning --tag-display-limit 0 "$deb" || complain "lintian is not content"

# The .rpm needs its users before the file that names them is there.
diff <(grep '^[ug] ' "$here/../packaging/rpm/pre.sh") <(grep '^[ug] ' "$here/../packaging/systemd/otpd.sysusers") ||
  complain "the .rpm makes other users than packaging/systemd/otpd.sysusers says"

version=$(dpkg-deb -f "$deb" Version)
[ "$(rpm -qp --queryformat '%{VERSION}-%{RELEASE}' "$rpm" 2>/dev/null)" = "$version" ] || complain "the packages have two versions"
dpkg-deb -f "$deb" Depends >"$scratch/depends"
for name in libc6 libpam0g libpam-runtime procps systemd; do has "the .deb's Depends" "(^|[ ,|])$name( |,|\$)" <"$scratch/depends"; done
rpm -qp --requires "$rpm" >"$scratch/requires" 2>/dev/null
for name in 'libpam\.so\.0\(LIBPAM_1\.0\)' 'libc\.so\.6' pam systemd util-linux; do has "the .rpm's Requires" "^$name" <"$scratch/requires"; done
dpkg-deb -c "$deb" | awk '{ print $1, $2, $6 }' >"$scratch/deb"
rpm -qp --queryformat '[%{FILEMODES:perms} %{FILEUSERNAME}/%{FILEGROUPNAME} .%{FILENAMES}\n]' "$rpm" 2>/dev/null >"$scratch/rpm"
multiarch=$(dpkg-architecture -qDEB_HOST_MULTIARCH)
has "the .deb" "^-rw-r--r-- \S+ \./usr/lib/$multiarch/security/pam_otp\.so\$" <"$scratch/deb"
has "the .deb" '^-rw-r--r-- \S+ \./usr/share/pam-configs/otpd$' <"$scratch/deb"
has "the .rpm" '^-rwxr-xr-x root/root \./usr/lib64/security/pam_otp\.so$' <"$scratch/rpm"
has "the .rpm" '^-rw-r----- root/otpd \./etc/otpd/otpd\.toml$' <"$scratch/rpm"
for list in deb rpm; do
  has "the .$list" '^-rwxr-xr-x \S+ \./usr/sbin/otpd$' <"$scratch/$list"
  has "the .$list" '^-rwxr-xr-x \S+ \./usr/bin/otpctl$' <"$scratch/$list"
  has "the .$list" '^-rw-r----- \S+ \./etc/otpd/otpd\.toml$' <"$scratch/$list"
  for unit in otpd.service otpd.socket; do has "the .$list" "\./usr/lib/systemd/system/$unit\$" <"$scratch/$list"; done
  for file in bash-completion/completions/otpctl fish/vendor_completions.d/otpctl.fish otpd/selinux/otpd.te; do
    has "the .$list" "\./usr/share/$file\$" <"$scratch/$list"
  done
  has "the .$list" '\./usr/share/zsh/\S+/_otpctl$' <"$scratch/$list"
  if grep -E '^-(.{4}w|.{7}w|..s|.{5}s)' "$scratch/$list"; then complain "the .$list has files that others may write to, or set-uid ones"; fi
done
# Both have the same but for the pieces that only one of the two systems knows.
known='lintian|pam-configs|/doc/|/licenses/|/security/|/zsh/'
diff <(awk '$1 ~ /^-/ { print $3 }' "$scratch/deb" | grep -Ev "$known" | sort) \
  <(awk '{ print $3 }' "$scratch/rpm" | grep -Ev "$known" | sort) || complain "the packages have different files"

if [ "${2:-}" = --long ]; then
  dpkg-deb -x "$deb" "$scratch/root"
  mkdir "$scratch/artifacts" "$scratch/again"
  cp "$scratch/root/usr/sbin/otpd" "$scratch/root/usr/bin/otpctl" "$scratch/artifacts/"
  cp "$scratch/root/usr/lib/$multiarch/security/pam_otp.so" "$scratch/artifacts/libpam_otp.so"
  "$here/../packaging/build.sh" --artifacts "$scratch/artifacts" --out "$scratch/again"
  for package in "$deb" "$rpm"; do
    cmp "$package" "$scratch/again/${package##*/}" || complain "${package##*/} is not the same when it is built again"
  done
fi
exit "$failed"
