#!/bin/bash
# Measures headgate beside PgBouncer, HAProxy and a direct connection: bench/README.md says what and how.
#
#   bash bench/run.sh                    everything (about 35 minutes)
#   bash bench/run.sh quick              everything, small and short (about 4)
#   bash bench/run.sh pgbench copy ...   single sections
#   bash bench/run.sh --help             all options
#
# Installs what is missing of Debian's packages (conf/install.sh), builds headgate, then measures as an ordinary user, since
# PostgreSQL and PgBouncer refuse root. Everything lives in a temporary folder and ends with this program.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
project=$(dirname "$here")

headgate=${HEADGATE:-}
out=$project/build/bench
keep=no
pass=()
while [ $# -gt 0 ]; do
	case $1 in
	--headgate) headgate=${2:?--headgate needs a path}; shift 2 ;;
	--headgate=*) headgate=${1#*=}; shift ;;
	--out) out=${2:?--out needs a folder}; shift 2 ;;
	--out=*) out=${1#*=}; shift ;;
	--keep) keep=yes; shift ;;
	-h | --help) exec env PYTHONPATH="$here" PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -m suite --help ;;
	*) pass+=("$1"); shift ;;
	esac
done

# Sets $headgate to the release build, or to nothing while there is no program to build.
build_headgate()
{
	if [ ! -e "$project/proxy/main.c" ]; then
		echo "bench: no headgate to build yet; its peers only" >&2
		return
	fi
	echo "bench: building headgate" >&2
	local said
	if ! said=$(cd "$project" && { [ -e build/release/CMakeCache.txt ] || cmake --preset release -DHEADGATE_TESTS=OFF; } 2>&1 &&
		cmake --build build/release --target headgate 2>&1); then
		printf '%s\n' "$said" >&2
		echo "bench: headgate does not build (--headgate none measures its peers only)" >&2
		exit 1
	fi
	headgate=$project/build/release/headgate
}

bash "$project/conf/install.sh" build bench >&2
case $headgate in
none) headgate= ;;
'') build_headgate ;;
*) [ -x "$headgate" ] || { echo "bench: no program at $headgate" >&2; exit 1; } ;;
esac

work=$(mktemp -d "${TMPDIR:-/tmp}/headgate-bench.XXXXXX")
child=
# shellcheck disable=SC2317 # reached by trap
leave()
{
	trap - EXIT INT TERM HUP
	if [ -n "$child" ] && kill -TERM "$child" 2>/dev/null; then
		wait "$child" || true
	fi
	rm -rf "$work"
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

mkdir "$work/tools" "$work/out"
for tool in copy hold refuse; do
	gcc -std=c11 -D_GNU_SOURCE -O2 -Wall -Wextra -Wformat=2 -Wshadow -Wconversion -Wswitch -Wstrict-prototypes \
		-Wmissing-prototypes -Wvla -Wundef -Werror -o "$work/tools/$tool" "$here/tools/$tool.c" "$here/tools/wire.c"
done
cp -r "$here/suite" "$work/suite"
arguments=(--work "$work" --out-folder "$work/out" --tools "$work/tools")
if [ -n "$headgate" ]; then
	# A copy: a build that goes on meanwhile changes nothing here.
	cp "$headgate" "$work/headgate"
	arguments+=(--headgate-copy "$work/headgate")
fi

as_user=()
if [ "$(id -u)" = 0 ]; then
	user=postgres
	id "$user" >/dev/null 2>&1 || user=nobody
	chown -R "$user" "$work"
	as_user=(setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups)
fi
ulimit -n "$(ulimit -H -n)"

status=0
cd "$work"
"${as_user[@]}" env PYTHONPATH="$work" PYTHONDONTWRITEBYTECODE=1 HOME="$work" \
	/usr/bin/python3 -m suite "${arguments[@]}" ${pass[@]+"${pass[@]}"} &
child=$!
wait "$child" || status=$?
child=

if [ -e "$work/out/tables.md" ]; then
	mkdir -p "$out"
	cp -r "$work/out/." "$out/"
	echo "bench: tables.md, results.csv and plot.svg are in $out" >&2
	if [ "$keep" = yes ]; then
		/usr/bin/python3 "$here/suite/keep.py" "$here/README.md" "$out/tables.md"
		cp "$out/plot.svg" "$here/plot.svg"
	fi
fi
exit "$status"
