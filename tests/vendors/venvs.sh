#!/bin/bash
# Makes the Python environments of the vendors' SDKs, or finds them already made.
# usage: tests/vendors/venvs.sh DIRECTORY
#
# Afterwards DIRECTORY/main/bin/python has the SDKs of Plivo, Telnyx and Twilio, and
# DIRECTORY/signalwire/bin/python that of SignalWire. One whose requirements changed is made anew.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
[ $# = 1 ] || { echo "usage: tests/vendors/venvs.sh DIRECTORY" >&2; exit 2; }
mkdir -p "$1"
# What only exists as sources is built by this, and not by the newest of the day. (Older and newer pip.)
export PIP_CONSTRAINT=$here/build.txt PIP_BUILD_CONSTRAINT=$here/build.txt
exec 9>"$1/lock" # two test runs may want them at once
flock 9

make() { # NAME REQUIREMENTS
  local venv=$folder/$1
  # Written last, so that one that was left half made is not taken for whole.
  if cmp -s "$2" "$venv/requirements.txt" && "$venv/bin/python" -c ''; then return; fi
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" --quiet --disable-pip-version-check install --requirement "$2"
  cp "$2" "$venv/requirements.txt"
}
folder=$(readlink -f "$1")
make main "$here/requirements.txt"
make signalwire "$here/requirements-signalwire.txt"
