#!/bin/bash
# Runs one fuzz target for some seconds on a corpus in a temporary folder, beginning with its seeds.
set -euo pipefail
target=$1 seconds=$2
name=$(basename "$target")
seeds=$(cd "$(dirname "$0")" && pwd)/seeds/${name#fuzz_}
if [ ! -x "$target" ]; then
	echo "SKIPPED: no $target (clang's fuzzer runtime is not to be had here)"
	exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/corpus"
if [ -d "$seeds" ]; then
	cp "$seeds"/* "$work/corpus/"
fi
cd "$work"
if ! "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 corpus >log 2>&1; then
	tail -n 60 log
	for found in crash-* leak-* timeout-* oom-*; do
		if [ -e "$found" ]; then
			echo "$found:"
			od -A d -t x1z "$found" | head -n 40
		fi
	done
	exit 1
fi
grep -E '^stat::number_of_executed_units|^Done' log
