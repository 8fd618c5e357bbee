#!/bin/bash
# Installs Debian packages, without a service of theirs being started.
# usage: tests/install.sh PACKAGE...     as root
set -euo pipefail
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi
# A list that is older than its mirror names files that are gone, so it is read anew each time.
# shellcheck disable=SC2016 # expanded by the shell within
"$(dirname "$(readlink -f "$0")")/again.sh" bash -euc '
  apt-get -o DPkg::Lock::Timeout=600 -o Acquire::Check-Date=false -o Acquire::Check-Valid-Until=false -qq update
  DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 -qq -y --no-install-recommends install "$@"
' bash "$@"
