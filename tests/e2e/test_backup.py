"""The backup before a run of migrations: what is saved, that it can be put back as it is said, and that no run begins without it."""

import os
import re
import subprocess

import pytest

from harness import place
from harness.headgate import SANITIZER, binary
from harness.wait import until

SHOP = """
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TABLE orders (id int PRIMARY KEY, name text NOT NULL DEFAULT 'x', total numeric(10,2), feeling mood);
CREATE TABLE other (id serial PRIMARY KEY, t text);
CREATE INDEX orders_name ON orders (name);
INSERT INTO orders SELECT i, 'n' || i || E'\\t\\\\', i / 3.0, 'ok' FROM generate_series(1, 2000) i;
INSERT INTO other (t) SELECT 'o' || i FROM generate_series(1, 50) i;
"""
ROWS = "SELECT count(*), md5(string_agg(o::text, '|' ORDER BY id)) FROM {} o"


class Shop:
    """A database of migrations of our own, without proxies."""

    def __init__(self, cluster, dbname):
        self.cluster, self.dbname = cluster, dbname
        self.dir, self.backups = place.folder("migrations"), os.path.join(place.folder("backups"), "here")
        cluster.sql(SHOP, dbname)

    @property
    def url(self):
        return f"postgresql://postgres@/{self.dbname}?host={self.cluster.socket}&port={self.cluster.port}"

    def write(self, name, up, down="SELECT 1;"):
        with open(os.path.join(self.dir, name), "w") as f:
            f.write(f"-- migrate:up\n{up}\n-- migrate:down\n{down}\n")

    def environment(self):
        return {**os.environ, "PATH": f"{place.pg_bin()}:{os.environ['PATH']}", "PGHOST": self.cluster.socket, "PGPORT": str(self.cluster.port),
                "PGUSER": "postgres"}

    def command(self, *arguments):
        return [binary(), *arguments, "--url", self.url, "--dir", self.dir]

    def run(self, *arguments, status=0, cwd=None):
        done = subprocess.run(self.command(*arguments), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=120, env=self.environment(), cwd=cwd)
        assert not SANITIZER.search(done.stdout), done.stdout
        assert done.returncode == status, done.stdout
        return done.stdout

    def shell(self, line):
        """A line that somebody was told to run, as it is."""
        done = subprocess.run(["bash", "-c", line], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120,
                              env=self.environment())
        assert done.returncode == 0, f"{line}\n{done.stdout}"

    def sql(self, statement):
        return self.cluster.sql(statement, self.dbname)

    def last_run(self):
        return self.sql("SELECT outcome, backup, backup_bytes, backup_ms, backup_error, held_at FROM headgate.run ORDER BY run_id DESC LIMIT 1")[0]

    def dump(self, dbname=None):
        """The schema as text, less what is ours and psql's."""
        text = place.run([f"{place.pg_bin()}/pg_dump", "-s", "-N", "headgate", "-d", dbname or self.dbname], env=self.environment())
        return [line for line in text.splitlines() if line and not line.startswith(("--", "\\"))]


@pytest.fixture
def shop(cluster, dbname):
    return Shop(cluster, dbname)


def told(output, what):
    """The command behind "in its place:" and the like."""
    found = re.search(rf"^ *{what}: +(.*)$", output, re.M)
    assert found, output
    return found[1]


def tables_of(place_):
    listing = place.run([f"{place.pg_bin()}/pg_restore", "--list", place_])
    return sorted(re.findall(r"TABLE DATA \w+ (\w+) ", listing))


def test_the_tables_that_are_touched_are_saved_and_come_back(shop):
    """A migration spoils a table. The command that was printed brings it back, and leaves the others alone."""
    before, schema = shop.sql(ROWS.format("orders")), shop.dump()
    shop.write("0001_spoil.sql", "UPDATE orders SET total = 0 WHERE id > 0;\nALTER TABLE orders DROP COLUMN name, DROP COLUMN feeling;")
    output = shop.run("upgrade", f"--backup={shop.backups}")
    assert "table public.orders" in output
    outcome, where, size, ms, error, _ = shop.last_run()
    assert outcome == "succeeded" and error is None and ms >= 0
    assert where.startswith(shop.backups + "/headgate-") and where.endswith("-from-base")
    files = [os.path.join(where, name) for name in os.listdir(where)]
    assert size == sum(os.path.getsize(name) for name in files) and size > 1000
    assert oct(os.stat(where).st_mode & 0o777) == "0o700"
    assert tables_of(where) == ["orders"]
    assert where in shop.run("log")
    shop.sql("INSERT INTO other (t) VALUES ('later')")
    shop.shell(told(output, "in its place"))
    assert shop.sql(ROWS.format("orders")) == before
    assert shop.dump() == schema
    assert shop.sql("SELECT count(*) FROM other") == [(51,)]


def test_in_doubt_everything_is_saved(shop):
    """What a DO block does no statement says. The printed command makes a second database of it, equal in all."""
    before, others, schema = shop.sql(ROWS.format("orders")), shop.sql(ROWS.format("other")), shop.dump()
    shop.write("0001_do.sql", "DO $$ BEGIN EXECUTE 'DELETE FROM or' || 'ders'; END $$;")
    output = shop.run("upgrade", f"--backup={shop.backups}")
    assert re.search(r"everything: \S*0001_do\.sql:2: DO may change what it does not name", output), output
    assert set(tables_of(shop.last_run()[1])) >= {"orders", "other"}
    assert shop.sql("SELECT count(*) FROM orders") == [(0,)]
    shop.shell(told(output, "beside this one"))
    restored = f"{shop.dbname}_restored"
    assert shop.cluster.sql(ROWS.format("orders"), restored) == before
    assert shop.cluster.sql(ROWS.format("other"), restored) == others
    assert shop.dump(restored) == schema
    shop.cluster.sql(f"DROP DATABASE {restored}")


def test_a_whole_backup_comes_back_in_its_place(shop):
    before, schema = shop.sql(ROWS.format("orders")), shop.dump()
    shop.write("0001_do.sql", "DO $$ BEGIN DELETE FROM orders; ALTER TABLE other DROP t; END $$;")
    output = shop.run("upgrade", f"--backup={shop.backups}")
    shop.shell(told(output, "in its place"))
    assert shop.sql(ROWS.format("orders")) == before and shop.dump() == schema
    # and what is recorded went back with it: the next upgrade does the work
    output = shop.run("upgrade")
    assert shop.sql("SELECT count(*) FROM orders") == [(0,)], output


def test_what_is_new_needs_no_backup(shop):
    shop.write("0001_new.sql", "CREATE TABLE fresh (a int);")
    output = shop.run("upgrade", f"--backup={shop.backups}")
    assert "no backup: no table that is there is touched" in output and shop.last_run()[:2] == ("succeeded", None)
    assert not os.path.exists(shop.backups)


def test_down_too_and_by_default_into_backups(shop):
    shop.write("0001_x.sql", "ALTER TABLE orders ADD x int;", "ALTER TABLE orders DROP x;")
    here = place.folder("cwd")
    shop.run("upgrade")
    shop.run("downgrade", "base", "--backup", cwd=here)
    (name,) = os.listdir(os.path.join(here, "backups"))
    assert re.fullmatch(rf"headgate-{shop.dbname}-\d{{8}}T\d{{6}}Z-from-0001", name)


@pytest.mark.parametrize("how", ["no right", "no program", "fails half way"])
def test_without_a_backup_there_is_no_run(shop, how):
    """It stops before anybody is held, and leaves no half backup."""
    shop.write("0001_x.sql", "ALTER TABLE orders ADD x int;")
    schema = shop.dump()
    if how == "no right":
        with open(shop.backups, "w") as f:
            f.write("a file, no folder")
        output = shop.run("upgrade", f"--backup={shop.backups}", status=1)
        assert shop.backups in output and "--backup=FOLDER" in output
    else:
        tools = place.folder("tools")
        if how == "fails half way":
            with open(os.path.join(tools, "pg_dump"), "w") as f:
                f.write('#!/bin/sh\nfor word; do case $word in --file=*) to=${word#--file=};; esac; done\n'
                        'mkdir "$to"; echo half > "$to/toc.dat"; echo half > "$to/3000.dat.gz"; echo the disk is full >&2; exit 3\n')
            os.chmod(os.path.join(tools, "pg_dump"), 0o755)
        environment = {**shop.environment(), "PATH": f"{tools}:/bin:/usr/bin" if how != "no program" else tools}
        done = subprocess.run(shop.command("upgrade", f"--backup={shop.backups}"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=60, env=environment)
        assert done.returncode == 1, done.stdout
        assert ("the disk is full" if how == "fails half way" else "pg_dump") in done.stdout
        outcome, _, _, _, error, held = shop.last_run()
        assert outcome == "failed" and error and held is None, (outcome, error, held)
        assert os.listdir(shop.backups) == []
    assert shop.dump() == schema
    # the way is free
    shop.run("upgrade")


COMMAND = """#!/bin/sh
echo "$HEADGATE_DATABASE" > {out}/database
printf '%s' "$HEADGATE_TABLES" > {out}/tables
echo "$HEADGATE_BACKUP" > {out}/place
psql -X -At -c "SELECT count(*) FROM orders" > {out}/count || exit 1
echo saved > "$HEADGATE_BACKUP"
while [ ! -e {out}/go ]; do sleep 0.05; done
"""


@pytest.fixture
def own(cluster, dbname, gated):
    """A proxy in front, migrations of our own, and a command of the user's that goes on when a file is there."""
    cluster.sql("DROP TABLE alembic_version", dbname)
    cluster.sql(SHOP + "GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC;", dbname)
    folder, out = place.folder("migrations"), place.folder("out")
    command = os.path.join(out, "save")
    with open(command, "w") as f:
        f.write(COMMAND.format(out=out))
    os.chmod(command, 0o755)
    gate = gated(init=True, recorded={"reader": "headgate", "schema": None, "order": None}, undeclared="admit",
                 migrations={"dir": folder, "backup": {"command": [command], "dir": os.path.join(out, "kept")}})
    with open(os.path.join(folder, "0001_x.sql"), "w") as f:
        f.write("-- migrate:up\nALTER TABLE orders ADD x int;\n-- migrate:down\nALTER TABLE orders DROP x;\n")
    return gate, out


def read(out, name):
    with open(os.path.join(out, name)) as f:
        return f.read()


def test_a_command_of_the_users_while_traffic_flows(cluster, dbname, own):
    """Configured, so without an option; and --no-backup goes without."""
    gate, out = own
    client = gate.login(None)
    running = gate.spawn("upgrade", "-d", "app")
    until(lambda: os.path.exists(os.path.join(out, "kept")) and os.listdir(os.path.join(out, "kept")), "the backup under way")
    for _ in range(3):
        assert client.query("SELECT count(*) FROM orders") == [["2000"]]
    assert gate.gate()["gate"] == "open"
    assert cluster.value("SELECT held_at IS NULL FROM headgate.run", dbname)
    with open(os.path.join(out, "go"), "w"):
        pass
    output, _ = running.communicate(timeout=60)
    assert running.returncode == 0, output
    assert read(out, "database") == "app\n" and read(out, "tables") == '"public"."orders"\n' and read(out, "count") == "2000\n"
    where, size, error = cluster.sql("SELECT backup, backup_bytes, backup_error FROM headgate.run", dbname)[0]
    assert where == read(out, "place").strip() and size == 6 and error is None
    assert client.query("SELECT count(x) FROM orders") == [["0"]]
    os.unlink(os.path.join(out, "place"))
    assert gate.run("downgrade", "-d", "app", "--no-backup", "base", check=False)[0] == 0
    assert not os.path.exists(os.path.join(out, "place"))


def test_a_run_that_dies_while_it_saves(cluster, dbname, own):
    """The command dies with it, nobody was held, and the next run is free to go."""
    gate, out = own
    client = gate.login(None)
    running = gate.spawn("upgrade", "-d", "app")
    until(lambda: os.path.exists(os.path.join(out, "count")), "the backup under way")
    running.kill()
    running.communicate()
    def commands():
        return subprocess.run(["pgrep", "-f", os.path.join(out, "save")], stdout=subprocess.PIPE, text=True).stdout.split()
    until(lambda: not commands(), "the command gone")
    assert client.query("SELECT count(*) FROM orders") == [["2000"]]
    with open(os.path.join(out, "go"), "w"):
        pass
    # the server has to notice that the first one's session is gone
    until(lambda: gate.run("upgrade", "-d", "app", check=False)[0] == 0, "the next run")
    assert cluster.value("SELECT count(*) FROM headgate.applied", dbname) == 1
