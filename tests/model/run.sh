#!/usr/bin/env bash
# Searches every state of the model of one run (run.pml) with spin: what must hold, and what must fail when a rule is left out. Exits non-zero
# when an expectation is not met, also when a search was cut short. Needs spin and a C compiler.
set -euo pipefail

command -v spin >/dev/null || { echo "SKIPPED: spin is missing"; exit 77; }
model=$(cd "$(dirname "$0")" && pwd)/run.pml
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
wrong=0

# check EXPECTATION NAME MODEL-OPTIONS [COMPILER-OPTIONS SEARCH-OPTIONS]; the expectation is `holds` or `fails`.
check() {
	local expected=$1 name=$2 options=$3 compile=${4:--DSAFETY} search=${5:--E} found states
	# shellcheck disable=SC2086
	spin $options -a "$model" >spin.out || { cat spin.out; exit 1; }
	# shellcheck disable=SC2086
	"${CC:-cc}" -O2 -w $compile -o pan pan.c
	# shellcheck disable=SC2086
	timeout 120 ./pan -m500000 $search >pan.out 2>&1 || true
	states=$(sed -nE 's/^ *([0-9]+) states, stored.*/\1/p' pan.out)
	if grep -qE 'errors: 0$' pan.out && ! grep -qiE 'search not completed|max search depth too small|out of memory' pan.out; then
		found=holds
	elif grep -qE '^pan:1: (assertion violated|acceptance cycle)' pan.out; then
		found=fails
	else
		found="no answer"
	fi
	printf '%-5s %-72s %-6s %s states searched\n' "$([ "$found" = "$expected" ] && echo ok || echo WRONG)" "$name" "$found" "${states:-?}"
	if [ "$found" != "$expected" ]; then
		cat pan.out
		wrong=1
	fi
}

check holds "fenced, two proxies" "-DN=2 -DG=1 -DRUNS=1"
check holds "fenced, one proxy, three leases, three runs" "-DN=1 -DG=3 -DRUNS=3"
check holds "fenced, two coordinators, two runs" "-DN=1 -DC=2 -DG=2 -DRUNS=2"
check fails "not fenced, two proxies: it only waits for open transactions" "-DN=2 -DG=1 -DRUNS=1 -DFENCE=1"
check fails "no step 5 at all, two proxies" "-DN=2 -DG=1 -DRUNS=1 -DFENCE=0"
check fails "announced without the table lock" "-DN=1 -DG=2 -DRUNS=1 -DLOCK=0"
check fails "a renewal that reads the run before it writes" "-DN=1 -DG=2 -DRUNS=1 -DWRITE_FIRST=0"
check holds "a coordinator that dies while it drains releases" "-DN=1 -DG=1 -DRUNS=1 -DFAIR=1" -DNFAIR=3 "-a -f"
check fails "the same when no proxy ends the run of a coordinator that is gone" "-DN=1 -DG=1 -DRUNS=1 -DFAIR=1 -DREAP=0" -DNFAIR=3 "-a -f"
exit $wrong
