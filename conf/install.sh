#!/bin/bash
# Installs what is missing of conf/packages.txt for the purposes named: conf/install.sh build test.
# As root or with sudo. Never asks anything. Prints one line when all is there.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export DEBIAN_FRONTEND=noninteractive

if [ $# -eq 0 ]; then
	echo "usage: install.sh PURPOSE... (build, test, demo, bench)" >&2
	exit 2
fi

# A package is there when dpkg says so, or when something else already provides its command.
provided() {
	case $1 in
	golang-go) command -v go ;;
	nodejs) command -v node ;;
	default-jdk-headless) command -v javac ;;
	node-pg) command -v npm ;;
	cmake) command -v cmake ;;
	postgresql-contrib) compgen -G '/usr/share/postgresql/*/extension/pg_trgm.control' ;; # part of postgresql from Debian 13 on
	ninja-build) command -v ninja ;;
	*) false ;;
	esac >/dev/null 2>&1
}
there() {
	provided "$1" || [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null || true)" = installed ]
}
wanted() {
	awk -v purposes="$*" '
		BEGIN { n = split(purposes, p, " ") }
		/^#/ || NF < 2 { next }
		{ for (i = 1; i <= n; i++) if (("," $2 ",") ~ ("," p[i] ",")) { print $1, $3; next } }' "$here/packages.txt"
}

must=() may=()
while read -r package optional; do
	if ! there "$package"; then
		if [ "$optional" = optional ]; then may+=("$package"); else must+=("$package"); fi
	fi
done < <(wanted "$@")

if [ ${#must[@]} -eq 0 ] && [ ${#may[@]} -eq 0 ]; then
	echo "packages: all there for: $*"
	exit 0
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
	if ! command -v sudo >/dev/null; then
		echo "packages: missing ${must[*]} ${may[*]}; run as root, or install sudo" >&2
		exit 1
	fi
	as_root=(sudo -n env DEBIAN_FRONTEND=noninteractive)
	# A person at a terminal may be asked for a password; nobody else is.
	[ -t 0 ] && [ "${CI:-}" != true ] && as_root=(sudo env DEBIAN_FRONTEND=noninteractive)
fi
apt_get() {
	"${as_root[@]}" apt-get -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3 "$@" </dev/null
}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# The cluster that Debian makes for every new PostgreSQL is not wanted: tests make their own.
if [ ! -e /etc/postgresql-common/createcluster.conf ] && printf '%s\n' "${must[@]}" | grep -qx postgresql; then
	"${as_root[@]}" mkdir -p /etc/postgresql-common/createcluster.d
	echo 'create_main_cluster = false' | "${as_root[@]}" tee /etc/postgresql-common/createcluster.d/headgate.conf >/dev/null
fi
apt_get -qq update >"$log" 2>&1 || { cat "$log" >&2; echo "packages: apt-get update failed; going on with the lists there are" >&2; }
if [ ${#must[@]} -gt 0 ]; then
	echo "packages: installing ${must[*]}"
	if ! apt_get -y -q install --no-install-recommends "${must[@]}" >"$log" 2>&1; then
		cat "$log" >&2
		echo "packages: could not install ${must[*]}" >&2
		exit 1
	fi
fi
for package in "${may[@]}"; do
	if apt_get -y -q install --no-install-recommends "$package" >"$log" 2>&1; then
		echo "packages: installed $package"
	else
		echo "packages: left out $package (not to be had here): $(grep -m1 -E '^E:' "$log" || true)"
	fi
done
