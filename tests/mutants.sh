#!/bin/bash
# Faults that no test would notice: cargo-mutants over what decides, what permits and what stores.
# usage: tests/mutants.sh [FILE...]   by hand; all of it takes hours of one processor
#
# FILE is a source file under otpd/src, for example domain/login/answer.rs; without any, all that
# tests/mutants/result.md is about. What is done is kept in target/mutants and not done again: the script
# may be stopped and started at will, and `rm -r target/mutants` begins anew. It ends with a table and the
# mutants that survived; each belongs into result.md with its reason, or is killed by a test.
#
# The pure core is tried as a crate of its own, and so is the store with what it stands on and
# ipc/permit.rs: they build in seconds. The longest tests are left out ($slow), since they take ten
# times as long as all others together, and properties are tried 32 times.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
command -v cargo >/dev/null || PATH=$PATH:$HOME/.cargo/bin
command -v cargo-mutants >/dev/null || cargo install --quiet --locked --debug cargo-mutants@27.1.0

# Nobody else on the machine shall notice. Processors are shared by session: without one of its own this
# would make the whole terminal wait.
if [ "$(ps -o sid= -p $$)" -ne $$ ]; then exec setsid --wait tests/mutants.sh "$@"; fi
echo 19 2>/dev/null >/proc/self/autogroup || true
renice -n 19 $$ >/dev/null
export PROPTEST_CASES=32 CARGO_NET_OFFLINE=true CARGO_PROFILE_DEV_DEBUG=false RUST_BACKTRACE=0
slow="guessing sequences model _of_a_bad_day_ a_stolen_database million a_thief pumping four_leaked honest_crowds"
quick=()
for name in $slow; do quick+=(--skip "$name"); done
# What takes seconds is asked when all else has found nothing.
late="bombs_stop commits_that_wait _at_their_edges one_telephone one_rotation a_flood_of_enrollments touches_no_other
  does_not_wait_for_ever files_keep_nothing many_guessed_accounts thousand"

target=$(cargo metadata --no-deps --format-version 1 --locked |
  sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')/mutants
mkdir -p "$target"
# The first test that fails is enough. The option is there, and not yet stable.
first=$target/first-failure
{
  printf '#!/bin/sh\nexport RUSTC_BOOTSTRAP=1\n'
  printf '"$@" -Z unstable-options --fail-fast%s || exit 1\n' "$(printf ' --skip %s' $late)"
  printf 'exec "$@" -Z unstable-options --fail-fast%s\n' "$(printf ' %s' $late)"
} >"$first"
chmod +x "$first"
triple=$(rustc -vV | sed -n 's/^host: //p')
export "CARGO_TARGET_$(tr 'a-z-' 'A-Z_' <<<"$triple")_RUNNER=$first"
files=("$@")
if [ ${#files[@]} = 0 ]; then
  mapfile -t files < <(cd otpd/src && find domain store ipc/permit.rs -name '*.rs' |
    grep -vE '/tests|tests\.rs$|conformance|domain/(model|scene|purity)' | sort)
fi

# A copy of the sources, since mutants are written into them.
copy() { # DIRECTORY PATH...
  rm -rf "${1:?}"
  mkdir -p "$1"
  tar -c "${@:2}" | tar -x -C "$1"
}

# Some modules of otpd as a crate of their own, with the dependencies that they name.
prepare() { # TREE MODULE...
  local tree=$target/$1 module line name
  # otp_proto has words that the store logs; by the SQL the tests' servers are divided.
  copy "$tree" Cargo.toml Cargo.lock .cargo otp_proto packaging/postgres/roles.sql
  sed -i 's/^members = .*/members = ["part"]/' "$tree/Cargo.toml"
  mkdir -p "$tree/part/src"
  for module in "${@:2}"; do (cd otpd/src && cp -r --parents "$module"* "$tree/part/src/"); done
  {
    printf '#![allow(dead_code, unused, missing_docs)]\n'
    for module in "${@:2}"; do
      case $module in
        */*) printf 'pub mod %s { mod %s; }\n' "${module%/*}" "${module#*/}" ;;
        *) printf 'pub mod %s;\n' "$module" ;;
      esac
    done
  } >"$tree/part/src/lib.rs"
  {
    printf '[package]\nname = "part_of_otpd"\nversion = "0.0.0"\nedition = "2024"\n'
    while IFS= read -r line; do
      name=${line%%[. ]*}
      case $line in
        "["*) echo "$line" ;;
        # Derived attributes name it, and no path.
        thiserror*) echo "$line" ;;
        *) if grep -rqE "\b${name//-/_}::" "$tree/part/src"; then echo "$line"; fi ;;
      esac
    done < <(awk '/^\[/ { named = /^\[(dev-)?dependencies\]$/ } named && NF' otpd/Cargo.toml)
  } >"$tree/part/Cargo.toml"
}

prepare_core() { prepare core domain; }

# The tests of the core are not asked about the store.
prepare_kept() {
  prepare kept domain store ipc/permit keys random clock failpoint threads hex
  cp tests/src/postgres.rs "$target/kept/part/src/postgres_server.rs"
  printf '#[cfg(test)]\nmod postgres_server;\n' >>"$target/kept/part/src/lib.rs"
  find "$target/kept/part/src/domain" -name '*.rs' -exec \
    perl -0pi -e 's/#\[cfg\(test\)\]\nmod (?!scene)\w+;\n//g' {} +
}

within() { (cd "$target/$1" && CARGO_TARGET_DIR=$target/build/$1 "${@:2}"); } # TREE COMMAND...

ready=
mutate() { # FILE
  local file=$1 out=$target/${1//\//+} tree
  local other=(--skip postgres --skip administrators)
  if [ -e "$out/done" ]; then return; fi
  rm -rf "$out"
  mkdir -p "$out"
  case $file in
    domain/*) tree=core ;;
    *) tree=kept ;;
  esac
  # What both engines do is tried with the one that starts at once.
  if [[ $file = store/postgres/* ]]; then other=(--skip sqlite); fi
  if [[ $ready != *$tree* ]]; then
    "prepare_$tree"
    # A part whose own tests fail would have every mutant caught.
    within "$tree" cargo test --quiet --package part_of_otpd --lib -- "${quick[@]}" >&2
    ready+=" $tree"
  fi
  # It ends with an error when a mutant survives, which is a result like others.
  within "$tree" cargo mutants --in-place --baseline skip --no-shuffle --colors never --timeout 300 \
    --package part_of_otpd --file "part/src/$file" --output "$out" -C=--lib -- -- \
    "${quick[@]}" "${other[@]}" >"$out/log" 2>&1 || true
  if grep -q 'mutants\? tested\|No mutants' "$out/log"; then touch "$out/done"; fi
}

printf '| file | mutants | caught | timed out | not viable | survived |\n|---|---|---|---|---|---|\n'
survived=0
for file in "${files[@]}"; do
  mutate "$file"
  out=$target/${file//\//+}/mutants.out
  if [ ! -e "$target/${file//\//+}/done" ]; then
    echo "| $file | failed: see $target/${file//\//+}/log |"
    survived=$((survived + 1))
    continue
  fi
  count() { cat "$out/$1.txt" 2>/dev/null | grep -c . || true; }
  caught=$(count caught) slow=$(count timeout) unviable=$(count unviable) missed=$(count missed)
  echo "| $file | $((caught + slow + unviable + missed)) | $caught | $slow | $unviable | $missed |"
  survived=$((survived + missed))
done
echo
echo "$survived survived:"
for file in "${files[@]}"; do cat "$target/${file//\//+}/mutants.out/missed.txt" 2>/dev/null || true; done
