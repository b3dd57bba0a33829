"""The readers, each over its own tool: a real project (tests/e2e/tools) is migrated by the real program, and what the gate reads, and
does with clients, follows. Where a tool is not to be had, that is printed. What each tool writes when things go wrong is in
tests/unit/schema_readers_tools.h too, for all readers."""

import fcntl
import json
import os
import shutil
import subprocess

import psycopg2
import pytest

from harness import place
from harness.wait import until
from harness.wire import Refused

TOOLS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tools")
DEMO = os.path.join(os.path.dirname(TOOLS), "..", "..", "migrations", "demo")
PACKAGES = {
    "node": ["dbmate@2", "graphile-migrate@1", "knex@3", "node-pg-migrate@9", "pg@8", "sequelize@6", "typeorm@1", "umzug@3"],
    "prisma": ["prisma@6.19", "@prisma/adapter-pg@6.19"],
}
_modules = {}


def modules(group):
    """A node_modules with npm's packages, fetched once a machine where HEADGATE_CACHE names a folder."""
    if group not in _modules:
        base = os.environ.get("HEADGATE_CACHE")
        base = os.path.join(base, f"tools-{group}") if base else place.folder(group)
        os.makedirs(base, exist_ok=True)
        # One that could not be reached a moment ago is not tried again.
        gone = next((why for why, _ in _modules.values() if why), None)
        with open(f"{base}/lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            _modules[group] = gone or fetch(base, PACKAGES[group]), os.path.join(base, "node_modules")
    why, path = _modules[group]
    if why:
        pytest.skip(why)
    return path


def fetch(base, packages):
    """Why it could not be done, or None."""
    stamp = os.path.join(base, "packages")
    if os.path.exists(stamp):
        with open(stamp) as f:
            if f.read().split() == packages:
                return None
    if not shutil.which("npm"):
        return "no npm here"
    with open(f"{base}/package.json", "w") as f:
        f.write('{"private": true}')
    try:
        done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline", "--fetch-retries=1",
                               "--fetch-retry-mintimeout=1000", "--fetch-timeout=30000", *packages], cwd=base, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        return "npm cannot be reached in time"
    if done.returncode != 0:
        return "npm cannot be reached: " + done.stdout[-300:].replace("\n", " ")
    with open(stamp, "w") as f:
        f.write("\n".join(packages))
    return None


class Project:
    """One tool's project in a folder of its own, and a database to migrate."""

    def __init__(self, cluster, dbname, name, source=None, node=None):
        self.cluster, self.dbname = cluster, dbname
        self.base = place.folder(name)
        shutil.copytree(source or os.path.join(TOOLS, name), self.base, dirs_exist_ok=True)
        self.bin = os.path.join(self.base, "node_modules", ".bin")
        if node:
            os.symlink(modules(node), os.path.join(self.base, "node_modules"))
        self.url = f"postgresql://postgres@127.0.0.1:{cluster.port}/{dbname}"
        self.aside = None

    def env(self):
        return {**os.environ, "PGHOST": "127.0.0.1", "PGPORT": str(self.cluster.port), "PGUSER": "postgres", "PGDATABASE": self.dbname,
                "DATABASE_URL": self.url, "ROOT_DATABASE_URL": self.url.rpartition("/")[0] + "/postgres", "HOME": self.base, "NO_COLOR": "1", "CHECKPOINT_DISABLE": "1"}

    def start(self, *command):
        return subprocess.Popen([*map(str, command)], cwd=self.base, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True, errors="replace", env=self.env(), preexec_fn=place.die_with_parent)

    def run(self, *command):
        return place.run([*map(str, command)], cwd=self.base, env=self.env())

    def fails(self, *command):
        process = self.start(*command)
        told = process.communicate(timeout=60)[0]
        assert process.returncode != 0, told

    def put_aside(self, path):
        """The second migration is not written yet, for tools that always go up to the last."""
        self.aside = path, place.folder("aside")
        shutil.move(os.path.join(self.base, path), self.aside[1])

    def put_back(self):
        path, folder = self.aside
        shutil.move(os.path.join(folder, os.path.basename(path)), os.path.join(self.base, path))


def have(program):
    if not shutil.which(program):
        pytest.skip(f"no {program} here")
    return program


def works(*command):
    if subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode != 0:
        pytest.skip(f"{' '.join(command)} does not work here")


# Each makes a project and returns (project, up to the first migration, up to the second, back to the first, both heads).


def alembic(cluster, dbname):
    have("alembic")
    p = Project(cluster, dbname, "alembic", source=DEMO)
    return p, ["alembic", "upgrade", "+1"], ["alembic", "upgrade", "+1"], ["alembic", "downgrade", "-1"], ["3f1c07a9d2b4", "8d40be6135f7"]


def dbmate(cluster, dbname):
    p = Project(cluster, dbname, "dbmate", node="node")
    command = [f"{p.bin}/dbmate", "--url", p.url + "?sslmode=disable", "-d", ".", "--no-dump-schema"]
    p.put_aside("20260102000000_price.sql")
    return p, [*command, "up"], [*command, "up"], [*command, "rollback"], ["20260101000000", "20260102000000"]


def django(cluster, dbname):
    works("/usr/bin/python3", "-c", "import django")
    p = Project(cluster, dbname, "django")
    command = ["/usr/bin/python3", "manage.py", "migrate"]
    types = "contenttypes.0002_remove_content_type_name+"
    return p, [*command, "shop", "0001"], command, [*command, "shop", "0001"], [types + "shop.0001_initial", types + "shop.0002_price"]


def graphile_migrate(cluster, dbname):
    p = Project(cluster, dbname, "graphile-migrate", node="node")
    command = [f"{p.bin}/graphile-migrate", "migrate"]
    p.put_aside("migrations/committed/000002-price.sql")
    return p, command, command, None, ["000001.sql", "000002.sql"]


def knex(cluster, dbname):
    p = Project(cluster, dbname, "knex", node="node")
    command = f"{p.bin}/knex"
    return p, [command, "migrate:up"], [command, "migrate:up"], [command, "migrate:down"], ["20260101000000_items.js", "20260102000000_price.js"]


def laravel(cluster, dbname):
    have("php")
    works("php", "-r", "require 'Illuminate/Database/autoload.php'; exit(extension_loaded('pdo_pgsql') ? 0 : 1);")
    p = Project(cluster, dbname, "laravel")
    p.put_aside("migrations/2026_01_02_000000_add_price.php")
    return p, ["php", "migrate.php", "up"], ["php", "migrate.php", "up"], ["php", "migrate.php", "down"], [
        "2026_01_01_000000_create_items", "2026_01_02_000000_add_price"]


def node_pg_migrate(cluster, dbname):
    p = Project(cluster, dbname, "node-pg-migrate", node="node")
    command = [f"{p.bin}/node-pg-migrate", "-m", "migrations"]
    return p, [*command, "up", "1"], [*command, "up", "1"], [*command, "down"], ["1767225600000_items", "1767312000000_price"]


def prisma(cluster, dbname):
    p = Project(cluster, dbname, "prisma", node="prisma")
    # It looks for the engine that is not used, and would fetch it: any file will do.
    open(f"{p.base}/no-engine.so.node", "w").close()
    command = ["env", f"PRISMA_QUERY_ENGINE_LIBRARY={p.base}/no-engine.so.node", f"{p.bin}/prisma", "migrate", "deploy"]
    p.put_aside("migrations/20260102000000_price")
    return p, command, command, None, ["20260101000000_items", "20260102000000_price"]


def rails(cluster, dbname):
    have("ruby")
    works("ruby", "-e", "require 'active_record'; require 'pg'")
    p = Project(cluster, dbname, "rails")
    p.put_aside("db/20260102000000_add_price.rb")
    return p, ["ruby", "migrate.rb", "up"], ["ruby", "migrate.rb", "up"], ["ruby", "migrate.rb", "down"], ["20260101000000", "20260102000000"]


def sequelize(cluster, dbname):
    p = Project(cluster, dbname, "sequelize", node="node")
    p.put_aside("migrations/20260102-price.js")
    return p, ["node", "migrate.js", "up"], ["node", "migrate.js", "up"], ["node", "migrate.js", "down"], ["20260101-items.js", "20260102-price.js"]


def sqitch(cluster, dbname):
    have("sqitch")
    p = Project(cluster, dbname, "sqitch")
    ids = p.run("sqitch", "plan", "--format", "format:%H").split()[-3:]
    target = f"db:pg://postgres@127.0.0.1:{cluster.port}/{dbname}"
    return p, ["sqitch", "deploy", "--to", "items", target], ["sqitch", "deploy", "--to", "price", target], [
        "sqitch", "revert", "-y", "--to", "items", target], ids


def typeorm(cluster, dbname):
    p = Project(cluster, dbname, "typeorm", node="node")
    command = f"{p.bin}/typeorm"
    p.put_aside("migrations/1767312000000-Price.js")
    return p, [command, "migration:run", "-d", "source.js"], [command, "migration:run", "-d", "source.js"], [
        command, "migration:revert", "-d", "source.js"], ["1767225600000", "1767312000000"]


def yoyo(cluster, dbname):
    have("yoyo")
    p = Project(cluster, dbname, "yoyo")
    options = ["--batch", "--no-config-file", "--database", p.url, "."]
    return p, ["yoyo", "apply", "-r", "0001.items", *options], ["yoyo", "apply", *options], ["yoyo", "rollback", "-r", "0002.price", *options], [
        "0001.items", "0002.price"]


ORDERED = {"dbmate", "graphile-migrate", "knex", "laravel", "node-pg-migrate", "prisma", "rails", "sequelize", "typeorm", "yoyo"}
MAKERS = {make.__name__.replace("_", "-"): make for make in (
    alembic, dbmate, django, graphile_migrate, knex, laravel, node_pg_migrate, prisma, rails, sequelize, sqitch, typeorm, yoyo)}


def refused(gate, head):
    with pytest.raises(Refused) as refusal:
        gate.login(head)
    return refusal.value.fields


@pytest.fixture
def reading(cluster, dbname, gated):
    """A gate that reads by this reader, in a database that no tool has touched."""
    cluster.sql("DROP TABLE alembic_version", dbname)

    def make(reader, **more):
        return gated(init=True, recorded={"reader": reader, "schema": None, "order": None, **more})

    return make


def state(gate, wanted):
    return until(lambda: gate.gate()["state"] == wanted and gate.gate(), lambda: f"state {wanted}, now {gate.gate()}")


def test_nothing_is_recorded_yet_and_a_graph_is(cluster, dbname, reading):
    """Before the first migration there is no version table: clients are ahead by the published graph, and wait."""
    gate = reading("alembic", schema="public")
    gate.configure(databases={"app": {"ahead": {"hold": "20s"}}})
    gate.reload()
    state(gate, "absent")
    graph = [{"revision": "a1", "parents": [], "depends": [], "labels": [], "compatible": False}]
    cluster.sql(f"SELECT headgate.publish(NULL, '{json.dumps(graph)}')", dbname)
    until(lambda: gate.gate()["graph"].startswith("serial "), lambda: f"the graph, now {gate.gate()}")
    client = gate.begin_login("a1")
    until(lambda: any(row["state"] == "held" for row in gate.clients()), "the held client")
    cluster.sql("CREATE TABLE alembic_version (version_num text)", dbname)
    cluster.record(dbname, "a1")
    client.finish_login()
    assert refused(gate, "b2")["C"] == "55000"


@pytest.mark.parametrize("reader", MAKERS)
def test_the_tool_moves_the_head(cluster, dbname, reading, reader):
    """Never migrated; the first migration; `headgate init` puts its trigger; the second, under the trigger; back again."""
    project, first, second, back, heads = MAKERS[reader](cluster, dbname)
    gate = reading(reader)
    state(gate, "absent")
    project.run(*first)
    gate.until_recorded(heads[0])
    assert gate.gate()["state"] == "clean"
    assert "in place" in gate.run("init", "-d", "app")[1]
    with gate.login(heads[0], user="postgres") as client:
        assert client.query("SELECT 1") == [["1"]]
        if project.aside:
            project.put_back()
        project.run(*second)
        gate.until_recorded(heads[1])
        assert client.fatal()["C"] == "57P01"
    gate.login(heads[1]).close()
    told = refused(gate, heads[0])
    assert told["C"] == "55000" and ("relation=behind" if reader in ORDERED else "relation=unknown") in told["D"], told
    if back:
        project.run(*back)
        gate.until_recorded(heads[0])
        gate.login(heads[0]).close()
        assert ("relation=ahead" if reader in ORDERED else "relation=unknown") in refused(gate, heads[1])["D"]


def test_django_says_itself_what_to_declare(cluster, dbname, reading):
    project, _, last, _, _ = django(cluster, dbname)
    gate = reading("django")
    project.run(*last)
    leaves, digest = project.run("/usr/bin/python3", "manage.py", "heads").split()
    gate.until_recorded(leaves)
    gate.login(leaves).close()
    gate.configure(databases={"app": {"recorded": {"reader": "django-digest"}}})
    gate.reload()
    gate.until_recorded(digest)
    gate.login(digest).close()


def test_sqitch_that_failed(cluster, dbname, reading):
    """A script without a transaction: what it did before it failed stays, and no client may pass until somebody has seen to it."""
    project, first, _, _, heads = sqitch(cluster, dbname)
    gate = reading("sqitch")
    project.run(*first)
    gate.until_recorded(heads[0])
    target = first[-1]
    project.fails("sqitch", "deploy", "--mode", "change", "--to", "broken", target)
    assert "change broken failed" in state(gate, "failed")["trouble"]
    assert refused(gate, heads[0])["C"] == "55000"
    cluster.sql("ALTER TABLE items DROP COLUMN IF EXISTS half_way", dbname)
    with open(f"{project.base}/deploy/broken.sql", "w") as f:
        f.write("ALTER TABLE items ADD half_way int;\n")
    project.run("sqitch", "deploy", "--to", "broken", target)
    gate.until_recorded(heads[2])
    gate.login(heads[2]).close()


def test_prisma_that_failed_and_was_resolved(cluster, dbname, reading):
    project, command, _, _, heads = prisma(cluster, dbname)
    gate = reading("prisma")
    project.run(*command)
    gate.until_recorded(heads[0])
    os.mkdir(f"{project.base}/migrations/20260103000000_broken")
    with open(f"{project.base}/migrations/20260103000000_broken/migration.sql", "w") as f:
        f.write("SELECT 1 / 0;\n")
    project.fails(*command)
    assert state(gate, "failed")["recorded"] == heads[0]
    assert refused(gate, heads[0])["C"] == "55000"
    # as `prisma migrate resolve --rolled-back` does, which needs the engine that is not on npm
    cluster.sql("UPDATE _prisma_migrations SET rolled_back_at = now() WHERE finished_at IS NULL", dbname)
    state(gate, "clean")
    gate.login(heads[0]).close()


@pytest.mark.parametrize("reader", ["knex", "prisma"])
def test_a_migration_under_way_holds_clients(cluster, dbname, reading, reader):
    """Behind the gate's back, no run of ours: the tool's own lock, or its own row, tells of it."""
    project, first, second, _, heads = MAKERS[reader](cluster, dbname)
    gate = reading(reader)
    project.run(*first)
    gate.until_recorded(heads[0])
    if project.aside:
        project.put_back()
    if reader == "knex":
        # In one transaction, as it does by itself, its lock is seen by nobody.
        with open(f"{project.base}/migrations/20260102000000_price.js", "a") as f:
            f.write("exports.config = { transaction: false };\n")
    gate.login(heads[0]).close()
    blocker = psycopg2.connect(cluster.dsn(dbname))
    try:
        with blocker.cursor() as cursor:
            cursor.execute("LOCK TABLE items")
        migration = project.start(*second)
        state(gate, "running")
        waiting = gate.begin_login(heads[1], user="postgres")
        until(lambda: any(row["state"] == "held" for row in gate.clients()), "the held client")
        blocker.rollback()
        told = migration.communicate(timeout=60)[0]
        assert migration.returncode == 0, told
        gate.until_recorded(heads[1])
        waiting.finish_login()
        assert waiting.query("SELECT price FROM items") == []
    finally:
        blocker.close()


def test_a_table_of_another_tool(cluster, dbname, reading):
    """schema_migrations has many makers: the wrong reader says whose it is, and clients are not let in by its rows."""
    gate = reading("golang-migrate")
    cluster.sql("CREATE TABLE schema_migrations (version varchar PRIMARY KEY); INSERT INTO schema_migrations VALUES ('7')", dbname)
    assert "it is one of dbmate or rails" in state(gate, "unreadable")["trouble"]
    gate.configure(databases={"app": {"recorded": {"reader": "rails"}}})
    gate.reload()
    gate.until_recorded("7")
    gate.login("7").close()


HOME_MADE = {
    # Mattermost's morph, Temporal, listmonk, Concourse, Boundary: read by a statement.
    "morph": ("CREATE TABLE db_migrations (version bigint PRIMARY KEY, name varchar NOT NULL); INSERT INTO db_migrations VALUES (9, 'a'), (10, 'b')",
              "SELECT max(version)::text FROM public.db_migrations", "10", "clean"),
    "temporal": ("CREATE TABLE schema_version (version_partition int, db_name varchar(255), creation_time timestamp, curr_version varchar(64), "
                 "min_compatible_version varchar(64)); INSERT INTO schema_version VALUES (0, 'temporal', now(), '1.18', '1.0')",
                 "SELECT curr_version FROM public.schema_version", "1.18", "clean"),
    "listmonk": ("CREATE TABLE settings (key text UNIQUE, value jsonb); INSERT INTO settings VALUES ('migrations', '[\"v4.0.0\", \"v4.1.0\"]')",
                 "SELECT value ->> -1 FROM public.settings WHERE key = 'migrations'", "v4.1.0", "clean"),
    "concourse": ("CREATE TABLE migrations_history (version bigint, tstamp timestamptz, direction varchar, status varchar, dirty boolean); "
                  "INSERT INTO migrations_history VALUES (1, now() - interval '1 hour', 'up', 'passed', false), (2, now(), 'up', 'failed', true)",
                  "(SELECT version::text, CASE WHEN dirty THEN 'failed' END FROM public.migrations_history ORDER BY tstamp DESC LIMIT 1)",
                  "2", "failed"),
    "boundary": ("CREATE TABLE boundary_schema_version (edition text, version int); INSERT INTO boundary_schema_version VALUES ('oss', 82001)",
                 "SELECT edition || '.' || version FROM public.boundary_schema_version", "oss.82001", "clean"),
}


@pytest.mark.parametrize("product", HOME_MADE)
def test_home_made_tables_by_a_statement(cluster, dbname, reading, product):
    ddl, statement, head, wanted = HOME_MADE[product]
    cluster.sql(ddl, dbname)
    gate = reading("sql", statement=statement)
    gate.until_recorded(head)
    assert gate.gate()["state"] == wanted
