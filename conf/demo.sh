#!/bin/bash
# The demo: clients go through headgate while Alembic migrates the database under them. One command, under a minute (the first
# time: and what installing and building takes), on a fresh Debian or Ubuntu, as root or with sudo. Cleans up after itself.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$top"
export PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH LC_ALL=C.UTF-8
unset PGHOST PGPORT PGUSER PGDATABASE PGOPTIONS PGPASSWORD PGSERVICE PGSSLMODE DATABASE_URL

say() { printf '%s\n' "$*"; }
bash conf/install.sh build demo </dev/null

binary=${HEADGATE_BIN:-$top/build/release/headgate}
if [ -z "${HEADGATE_BIN:-}" ]; then
	log=$(mktemp)
	if { [ -e build/release/CMakeCache.txt ] || cmake --preset release -DHEADGATE_TESTS=OFF; } >"$log" 2>&1 &&
		cmake --build build/release --target headgate >>"$log" 2>&1; then
		rm -f "$log"
	else
		cat "$log"
		rm -f "$log"
		exit 1
	fi
fi

work=$(mktemp -d /tmp/headgate-demo-XXXXXX)
chmod 755 "$work"
server='' proxy='' load=''
cleanup() {
	trap '' INT TERM
	for pid in "$load" "$proxy"; do
		if [ -n "$pid" ] && kill -TERM "$pid" 2>/dev/null; then
			wait "$pid" 2>/dev/null || true
		fi
	done
	if [ -n "$server" ] && kill -INT "$server" 2>/dev/null; then
		wait "$server" 2>/dev/null || true
	fi
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM HUP

# PostgreSQL does not run as root.
as_server=()
if [ "$(id -u)" -eq 0 ]; then
	as_server=(setpriv --reuid=postgres --regid=postgres --init-groups --)
	chown postgres: "$work"
fi
bin=$(printf '%s\n' /usr/lib/postgresql/*/bin/initdb | sort -V | tail -n 1)
bin=${bin%/initdb}
read -r server_port port < <(/usr/bin/python3 -c '
import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(s.getsockname()[1] for s in held))')

# The work folder is the server user's: nothing here may depend on where the project lies.
say "starting a throw-away PostgreSQL and filling a shop ..."
(cd / && "${as_server[@]}" "$bin/initdb" -D "$work/data" -U postgres -A trust -E UTF8 --locale=C -N >"$work/initdb.log" 2>&1) ||
	{ cat "$work/initdb.log"; exit 1; }
(cd / && exec "${as_server[@]}" "$bin/postgres" -D "$work/data" -c port="$server_port" -c listen_addresses=127.0.0.1 \
	-c unix_socket_directories="$work" -c fsync=off -c full_page_writes=off -c max_wal_size=4GB -c shared_buffers=128MB \
	-c log_min_messages=fatal >"$work/postgres.log" 2>&1) &
server=$!
for _ in $(seq 300); do
	"$bin/pg_isready" -q -h "$work" -p "$server_port" && break
	kill -0 "$server" 2>/dev/null || { cat "$work/postgres.log"; exit 1; }
	sleep 0.1
done
sql() { PGOPTIONS='-c client_min_messages=warning' psql -X -q -v ON_ERROR_STOP=1 -h "$work" -p "$server_port" "$@"; }
sql -U postgres -d postgres -c "CREATE ROLE shop_owner LOGIN; GRANT pg_monitor, pg_signal_backend TO shop_owner" \
	-c "CREATE ROLE shop_app LOGIN" -c "CREATE DATABASE shop OWNER shop_owner"
sql -U postgres -d shop -c "ALTER SCHEMA public OWNER TO shop_owner" \
	-c "ALTER DEFAULT PRIVILEGES FOR ROLE shop_owner GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO shop_app"
alembic=(alembic -c "$top/migrations/demo/alembic.ini")
DATABASE_URL="postgresql://shop_owner@127.0.0.1:$server_port/shop" PYTHONDONTWRITEBYTECODE=1 \
	"${alembic[@]}" upgrade 3f1c07a9d2b4 >"$work/alembic.log" 2>&1 || { cat "$work/alembic.log"; exit 1; }
sql -U shop_owner -d shop <<'SQL'
INSERT INTO customer (name, email) SELECT format('Given%s Family%s', i, i % 977), format('c%s@example.org', i) FROM generate_series(1, 150000) i;
INSERT INTO purchase (customer_id, price) SELECT 1 + i % 150000, (i % 9973) / 100.0 FROM generate_series(1, 400000) i;
ANALYZE customer, purchase;
SQL

# The proxy.
sed -e "s|@FOLDER@|$work|g; s|@PORT@|$port|g; s|@SERVER@|$server_port|g" conf/demo.yaml >"$work/headgate.yaml"
"$binary" init --config "$work/headgate.yaml" -d shop >"$work/init.log" 2>&1 || { cat "$work/init.log"; exit 1; }
"$binary" serve --config "$work/headgate.yaml" 2>"$work/headgate.log" &
proxy=$!
for _ in $(seq 300); do
	[ -S "$work/.s.PGSQL.6434" ] && break
	kill -0 "$proxy" 2>/dev/null || { cat "$work/headgate.log"; exit 1; }
	sleep 0.1
done

# The clients, and the migration.
PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 conf/demo_load.py "$port" "$work/exec.log" -- \
	"$binary" exec --config "$work/headgate.yaml" -d shop -m "names and prices" -- "${alembic[@]}" upgrade head &
load=$!
status=0
wait "$load" || status=$?
load=''
[ $status -ne 130 ] || exit 130
if [ $status -ne 0 ]; then
	say "" "the demo failed (status $status); the proxy's last words:"
	tail -n 30 "$work/headgate.log"
	exit $status
fi

cat <<'TEXT'

  The same at home, with conf/headgate.yaml as a start:

    headgate init  -d shop                                        # once: the ledger, in a schema of its own
    headgate serve                                                # apps connect here, with PGOPTIONS='-c headgate.head=<revision>'
    headgate exec  -d shop -m "why" -- alembic upgrade head       # in the deploy job

TEXT
