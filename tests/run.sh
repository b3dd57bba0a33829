#!/bin/bash
# Everything: installs what is missing, builds, and runs lint, unit tests, the model, end to end, sanitizers and fuzz targets.
#   bash tests/run.sh          all of it, under 30 minutes on two cores
#   bash tests/run.sh quick    lint, unit tests and the first scenarios, under 3
# As root or with sudo (only the installing needs it). Asks nothing. Ends with ctest's closing lines.
set -euo pipefail
cd "$(dirname "$0")/.."
exec </dev/null
mode=${1:-all}
case $mode in
all | quick) ;;
*)
	sed -n '2,5s/^# \{0,1\}//p' "$0"
	exit 2
	;;
esac

say() { printf '\n== %s (%ds)\n' "$1" "$SECONDS"; }
top=$(pwd)
jobs=$(nproc)
export PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH # Debian's Python and tools before any other

say "packages"
bash conf/install.sh build test

# One folder of PostgreSQL, made once, copied by every test.
HEADGATE_E2E_CACHE=$(mktemp -d /tmp/hg-cache-XXXXXX)
export HEADGATE_E2E_CACHE
chmod 755 "$HEADGATE_E2E_CACHE"
trap 'rm -rf "$HEADGATE_E2E_CACHE"' EXIT
trap 'exit 130' INT TERM

build() { # preset, target, more for cmake
	local preset=$1 target=$2
	shift 2
	say "build: $preset"
	cmake --preset "$preset" "$@" >"$HEADGATE_E2E_CACHE/cmake.log" 2>&1 || { cat "$HEADGATE_E2E_CACHE/cmake.log"; return 1; }
	cmake --build "build/$preset" -j "$jobs" --target "$target" >"$HEADGATE_E2E_CACHE/build.log" 2>&1 || {
		tail -n 80 "$HEADGATE_E2E_CACHE/build.log"
		return 1
	}
	tail -n 1 "$HEADGATE_E2E_CACHE/build.log"
}
stages=(-DHEADGATE_SANITIZED_BUILD="$top/build/debug")
build debug all -DHEADGATE_TESTS=ON
if [ "$mode" = all ]; then
	build tsan headgate
	stages+=(-DHEADGATE_TSAN_BUILD="$top/build/tsan" -DHEADGATE_FUZZ_BUILD="$top/build/fuzz")
	if echo 'int LLVMFuzzerTestOneInput(const char *d, long n) { (void)d; (void)n; return 0; }' |
		clang -x c -fsanitize=fuzzer,address - -o "$HEADGATE_E2E_CACHE/probe" 2>/dev/null; then
		build fuzz fuzzers
	else
		rm -rf build/fuzz
		echo "fuzz: clang here has no fuzzer runtime; the fuzz tests will be skipped"
	fi
else
	stages+=(-DHEADGATE_TSAN_BUILD= -DHEADGATE_FUZZ_BUILD=)
fi
build release all -DHEADGATE_TESTS=ON "${stages[@]}"

say "tests"
selection=()
[ "$mode" = quick ] && selection=(-L quick)
status=0
# Most tests wait more than they work.
ctest --test-dir build/release --output-on-failure --timeout 900 -j "$((jobs * 2))" "${selection[@]}" || status=$?
exit $status
