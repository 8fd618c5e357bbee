#!/bin/bash
# What ships cannot be killed at the points that tests use: their names are not in it.
# usage: tests/failpoints.sh TARGET     after the release build and the tests, which build the other one
set -euo pipefail

names=$(grep -oE '"(failpoint-[a-z-]+|OTPD_FAILPOINT)"' "$(dirname "$0")/../otpd/src/failpoint.rs" | tr -d '"')
with=$1/debug/otpd-failpoints
for name in $names; do
  if ! grep -aqF -- "$name" "$with"; then
    echo "$with: no $name: this check finds nothing where there is something" >&2
    exit 1
  fi
done
for program in otpd otpctl libpam_otp.so; do
  file=$1/release/$program
  status=0
  grep -aqi failpoint "$file" || status=$?
  case $status in
    1) ;;
    0) echo "$file: has failpoints" >&2; exit 1 ;;
    *) exit 1 ;; # it is not there
  esac
done
echo "no failpoint in otpd, otpctl and libpam_otp.so, and $(wc -w <<<"$names") names of them where they are built in"
