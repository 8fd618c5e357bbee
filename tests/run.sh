#!/bin/bash
# Everything there is to test, from a fresh clone on a fresh machine.
# usage: tests/run.sh [--long]     as root, on Debian with Rust; --long repeats what is repeated more often
#
# Installs what it needs, runs every check and every test whatever failed before, adds up what the
# runners reported and ends with the line "N passed, N failed". A check that fails, a build that
# breaks and a runner that reports nothing count as failed; nothing is skipped.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

long=()
for argument in "$@"; do
  case $argument in
    --long) long=(--long) ;;
    *) echo "usage: tests/run.sh [--long]" >&2; exit 2 ;;
  esac
done
[ "$(id -u)" = 0 ] || { echo "tests/run.sh: needs root: it makes accounts and network namespaces of its own" >&2; exit 2; }
command -v cargo >/dev/null || PATH=$PATH:$HOME/.cargo/bin

passed=0
failed=0
broken=()
mkroot=
began=$SECONDS
title() { printf '\n=== %s (%d s)\n' "$1" $((SECONDS - began)); }
add() { # PASSED FAILED
  passed=$((passed + $1))
  failed=$((failed + $2))
}
fail() { # WHAT
  echo "FAILED: $1"
  broken+=("$1")
  add 0 1
}
check() { # NAME COMMAND...
  title "$1"
  "${@:2}" || fail "$1"
}
# A runner's failures are in its count. What its exit status says beyond that counts as one more.
report() { # NAME STATUS [PASSED FAILED]
  if [ $# -lt 4 ]; then
    fail "$1 reported nothing"
  else
    add "$3" "$4"
    if [ "$4" != 0 ]; then broken+=("$1: $4 failed"); fi
    if [ $(($3 + $4)) = 0 ]; then fail "$1 ran nothing"; fi
    if [ "$2" != 0 ] && [ "$4" = 0 ]; then fail "$1 ended with status $2"; fi
  fi
}

# Whatever ends this script, the last line says how it went.
summary() {
  local status=$?
  if [ "$status" != 0 ] && [ "$finished" = 0 ]; then
    if [ -n "$mkroot" ]; then wait "$mkroot" || true; fi # what it has fetched serves the next run
    fail "tests/run.sh stopped with status $status"
  fi
  title "summary"
  if [ ${#broken[@]} -gt 0 ]; then printf 'FAILED: %s\n' "${broken[@]}"; fi
  echo "$passed passed, $failed failed"
  [ "$failed" = 0 ] || exit 1
}
finished=0
trap summary EXIT

title "packages"
missing=()
for package in gcc g++ libc6-dev libc6-dbg libpam0g-dev pkg-config binutils mmdebstrap systemd-container \
  util-linux iproute2 procps python3 python3-pip python3-venv valgrind strace prometheus faketime lintian rpm dpkg-dev \
  xz-utils man-db openssl postgresql pgbouncer; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  tests/install.sh "${missing[@]}"
  # Prometheus is here for its checker of metrics alone, and tests start PostgreSQL and PgBouncer
  # themselves: no service is started or enabled.
  for service in prometheus postgresql pgbouncer; do
    case " ${missing[*]} " in
      *" $service "*) systemctl --quiet disable "$service.service" ;;
    esac
  done
fi

target=$(cargo metadata --no-deps --format-version 1 --locked |
  sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
results=$target/test-results
rm -rf "$results"
mkdir -p "$results"
# The root comes over the network while the processors compile.
tests/again.sh tests/box/mkroot.sh "$target/box/root" >"$results/mkroot.log" 2>&1 &
mkroot=$!

title "tools"
# Unoptimised: they run for seconds and would compile for minutes.
command -v cargo-nextest >/dev/null || tests/again.sh cargo install --quiet --locked --debug cargo-nextest@0.9.143
command -v cargo-deny >/dev/null || tests/again.sh cargo install --quiet --locked --debug cargo-deny@0.20.2
# With these packaging/build.sh makes the packages.
command -v cargo-deb >/dev/null || tests/again.sh cargo install --quiet --locked --debug cargo-deb@3.8.0
command -v cargo-generate-rpm >/dev/null || tests/again.sh cargo install --quiet --locked --debug cargo-generate-rpm@0.21.1
tests/again.sh cargo fetch --quiet --locked

check "format" cargo fmt --all --check
check "clippy" cargo clippy --quiet --locked --workspace --all-targets -- -D warnings
# What tests alone build; the tests below build it anyway.
check "clippy of the failpoints" cargo clippy --quiet --locked -p otpd --bin otpd-failpoints --features failpoints -- -D warnings
check "dependencies" cargo deny --offline --log-level error check bans licenses sources

manual() { # every page, rendered; a warning is a failure
  local page warnings bad=0
  for page in packaging/man/*; do
    warnings=$(LC_ALL=C.UTF-8 MANWIDTH=80 man --warnings -E UTF-8 -l -Tutf8 -Z "$page" 2>&1 >/dev/null) || bad=1
    if [ -n "$warnings" ]; then
      echo "$page: $warnings"
      bad=1
    fi
  done
  return "$bad"
}
check "manual pages" manual

# Just as tests/src/daemon/programs.rs and tests/src/pam/build.rs ask for them: tests that find them built
# start at once, and no compiler runs beside those that measure time.
for program in otpd otpctl "otpd --bin otpd-failpoints --features failpoints" "pam_otp --release"; do
  # shellcheck disable=SC2086 # a package and its options
  check "build of $program" cargo build --quiet --locked --package $program
done

title "unit, property, conformance and module tests"
# Nor does what unpacks and writes the root, which is long done.
wait "$mkroot" && root=0 || root=$?
mkroot=
# What properties draw is the same in every run that is not long. Such a run says whether a change broke
# something; a fault that was there before must not be met at random, and hold up a change that has
# nothing to do with it. To meet new ones is what --long is for, which draws others each time.
if [ ${#long[@]} = 0 ]; then export PROPTEST_RNG_SEED=1; fi
status=0
cargo nextest run --locked --workspace --color never --no-fail-fast --status-level fail \
  --final-status-level slow "${long[@]/--long/--run-ignored=all}" 2>&1 | tee "$results/nextest.log" || status=$?
# "Summary [ 1.2s] 3 tests run: 1 passed (1 slow), 1 failed, 1 timed out, 0 skipped"
summary=$(grep -E '^ *Summary \[' "$results/nextest.log" | tail -1 || true)
if [[ $summary =~ ([0-9]+)\ tests?\ run:\ ([0-9]+)\ passed ]]; then
  report "nextest" "$status" "${BASH_REMATCH[2]}" $((BASH_REMATCH[1] - BASH_REMATCH[2]))
else
  report "nextest" "$status"
fi

title "documentation tests"
status=0
cargo test --quiet --locked --workspace --doc 2>&1 | tee "$results/doc.log" || status=$?
# There may be none of these in a crate, so only a crate that could not be tested counts as failed.
read -r ok bad < <(sed -nE 's/^test result: .* ([0-9]+) passed; ([0-9]+) failed;.*/\1 \2/p' "$results/doc.log" |
  awk '{ ok += $1; bad += $2 } END { print ok + 0, bad + 0 }')
add "$ok" "$bad"
if [ "$status" != 0 ]; then fail "documentation tests"; fi

check "release build" cargo build --quiet --release --locked -p otpd -p otpctl -p pam_otp
check "no failpoint in what ships" tests/failpoints.sh "$target"
check "build of the carriers' stand-in" cargo build --quiet --release --locked -p otpd_tests --bin carrier

check "the .deb and the .rpm" packaging/build.sh --artifacts "$target/release" --out "$target/packages"
check "what is in them" tests/packages.sh "$target/packages" "${long[@]}"

title "the vendors' own clients and validators"
venvs=$target/vendors
# A library that cannot be had is a vendor that was not tested: it fails.
tests/again.sh tests/vendors/venvs.sh "$venvs" || fail "the environments of the vendors' clients"
vendors() { # SCRIPT PROGRAM: once in each environment, with the vendors whose libraries it has
  local environment name vendors status log
  for environment in "main telnyx plivo twilio" "signalwire signalwire"; do
    read -r name vendors <<<"$environment"
    log=$results/vendors-$1-$name.log
    status=0
    # shellcheck disable=SC2086 # one word a vendor
    "$venvs/$name/bin/python" -B "tests/vendors/$1" "$2" $vendors 2>&1 | tee "$log" || status=$?
    if [[ $(tail -1 "$log") =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
      report "$1 $vendors" "$status" "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}"
    else
      report "$1 $vendors" "$status"
    fi
  done
}
vendors clients.py "$target/release/carrier"
check "build of the judge of requests" cargo build --quiet --locked -p otpd --example callback
vendors receipts.py "$target/debug/examples/callback"

title "end to end"
status=0
if [ "$root" = 0 ]; then
  tests/e2e/run.py --root "$target/box/root" --artifacts "$target/release" --packages "$target/packages" \
    --results "$results/e2e" "${long[@]}" || status=$?
  if [ -f "$results/e2e/counts.json" ] && counts=$(python3 -c 'import json, sys; c = json.load(open(sys.argv[1])); print(c["passed"], c["failed"])' \
    "$results/e2e/counts.json"); then
    # shellcheck disable=SC2086 # two numbers
    report "end to end" "$status" $counts
  else
    report "end to end" "$status"
  fi
else
  cat "$results/mkroot.log"
  fail "the root file system of the end-to-end tests"
fi

if [ ${#long[@]} -gt 0 ]; then
  title "fuzzing with coverage"
  status=0
  tests/fuzz/run.sh 900 2>&1 | tee "$results/fuzz.log" || status=$?
  if [[ $(tail -1 "$results/fuzz.log") =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
    report "fuzzing" "$status" "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}"
  else
    report "fuzzing" "$status"
  fi
fi

title "the benchmark in its short form"
# Whether every row can be measured; a figure that is not met means nothing on a busy machine.
status=0
tests/bench/run.sh --short 2>&1 | tee "$results/bench.log" || status=$?
report "benchmark" "$status" $((status == 0)) $((status != 0))

finished=1
