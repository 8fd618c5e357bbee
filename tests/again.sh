#!/bin/bash
# Runs a command that needs the network, and up to twice more when it fails: mirrors have their moments.
# usage: tests/again.sh COMMAND...
set -uo pipefail
for _ in 1 2; do
  "$@" && exit
  echo "$1 failed; once more in 20 s" >&2
  sleep 20
done
exec "$@"
