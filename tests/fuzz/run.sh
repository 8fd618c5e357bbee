#!/bin/bash
# Coverage-guided fuzzing of the targets that every test run replays.
# usage: tests/fuzz/run.sh SECONDS [TARGET...]     each target for so long, one after the other
#
# What is found is kept beside the targets, in __fuzz__/TARGET/crashes, and fails every test run from
# then on. Needs g++; installs cargo-bolero. Ends with "N passed, N failed".
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."

seconds=${1:-}
[[ $seconds =~ ^[1-9][0-9]*$ ]] || { echo "usage: tests/fuzz/run.sh SECONDS [TARGET...]" >&2; exit 2; }
shift
# The crate, and the test that is a target.
targets=(
  "otp_proto fuzz::frames"
  "otp_proto fuzz::calls"
  "otp_proto fuzz::replies"
  "pam_otp fuzz::arguments"
  "otpctl commands::import::rows::fuzz::lists"
  "otpd fuzz::configuration"
  "otpd fuzz::numbers"
  "otpd fuzz::messages"
  "otpd fuzz::typed"
  "otpd fuzz::stored"
  "otpd gateway::fuzz::vendor_replies"
  "otpd gateway::fuzz::templates"
  "otpd gateway::callback::fuzz::receipts"
)

command -v cargo-bolero >/dev/null ||
  tests/again.sh cargo install --quiet --locked --debug --no-default-features --features libfuzzer cargo-bolero@0.13.5
# A crate's other programs are built as well, and would miss the engine that only the target brings; they
# are not run.
export RUSTFLAGS="-C link-arg=-Wl,--unresolved-symbols=ignore-all"
folder=$(cargo metadata --no-deps --format-version 1 --locked |
  sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')/fuzz
mkdir -p "$folder"

passed=0
failed=0
for target in "${targets[@]}"; do
  read -r crate test <<<"$target"
  if [ $# -gt 0 ] && [[ " $* " != *" ${test##*::} "* ]]; then continue; fi
  log=$folder/${test##*::}.log
  echo "--- ${test##*::}"
  # It begins with the seeds in the tree. What it learns stays in target/fuzz; what belongs into the tree
  # is put there by hand.
  if cargo bolero test --package "$crate" --engine libfuzzer --rustc-bootstrap --sanitizer NONE \
    --corpus-dir "$folder/corpus/${test##*::}" -E "$PWD/tests/fuzz/__fuzz__/${test##*::}/corpus" -T "${seconds}s" --target-dir "$folder/build" "$test" >"$log" 2>&1 &&
    grep -qE '^Done [0-9]+ runs in ' "$log"; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    tail -40 "$log"
  fi
  grep -E '^#[0-9]+.*(DONE|pulse|NEW|REDUCE)' "$log" | tail -1 || true
done
echo "$passed passed, $failed failed"
if [ $((passed + failed)) = 0 ]; then echo "no such target: $*" >&2; fi
[ "$failed" = 0 ] && [ "$passed" != 0 ]
