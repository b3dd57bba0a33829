#!/bin/bash
# One file of end-to-end tests over the binary that HEADGATE_BIN names. Exit status 77: nothing in it could run here, and why is printed.
# HEADGATE_FLAVOUR: e2e, sanitized or tsan; the slow ones are given more patience.
set -uo pipefail
cd "$(dirname "$0")" || exit 1
runner=()
if [ "${HEADGATE_FLAVOUR:-}" = tsan ] && setarch "$(uname -m)" -R true 2>/dev/null; then
	# ThreadSanitizer cannot map its shadow where the kernel spreads addresses widely.
	runner=(setarch "$(uname -m)" -R)
fi
export PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 LC_ALL=C.UTF-8
unset PGHOST PGPORT PGUSER PGDATABASE PGOPTIONS PGSSLMODE PGPASSWORD PGAPPNAME PGSERVICE DATABASE_URL SUDO_USER HEADGATE_WHO
"${runner[@]}" /usr/bin/python3 -m pytest -q -rs --maxfail=5 --timeout=180 -p no:cacheprovider "$@"
status=$?
# 5: no test collected
[ $status -eq 5 ] && exit 77
exit $status
