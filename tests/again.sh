#!/bin/bash
# Runs a command that needs the network, and up to four times more when it fails: mirrors have their
# moments, of some minutes at times.
# usage: tests/again.sh COMMAND...
set -uo pipefail
for pause in 20 60 120 240; do
  "$@" && exit
  echo "$1 failed; once more in $pause s" >&2
  sleep "$pause"
done
exec "$@"
