"""Section migrate: a thousand trivial migrations beside psql on the same files, and how long a folder of ten thousand takes to read.

psql is the variant direct: one process that does each file with \\i between BEGIN and COMMIT, which is the least that running them takes. A
psql for each file (-1 -f) is what scripts do. Each sample has a new database; headgate's time has the making of its ledger in it."""

import os
import subprocess
import time

from .children import Failure

FILES, CATALOG = 1000, 10000
TABLES, COLUMNS = "CREATE TABLE", "ADD COLUMN"  # the less a migration does, the more its row in the ledger counts
FREE, HELD, EACH = "--no-hold", "held, without proxies", "a psql for each file"
LIMITED = [f"{kind}, {how}" for kind in (TABLES, COLUMNS) for how in (FREE, HELD)]
READ = f"{CATALOG:,} files read"


def _sql(kind, number):
    if kind == TABLES:
        return f"CREATE TABLE table_{number} (id bigint PRIMARY KEY, name text NOT NULL);\n"
    return "CREATE TABLE wide (column_1 int);\n" if number == 1 else f"ALTER TABLE wide ADD COLUMN column_{number} int;\n"


def _write(folder, count, kind=TABLES):
    """golang-migrate's layout: an up and a down a migration. The names of the ups, in order."""
    os.makedirs(folder, exist_ok=True)
    names = []
    for number in range(1, count + 1):
        names.append(os.path.join(folder, f"{number:06d}_table.up.sql"))
        with open(names[-1], "w", encoding="ascii") as file:
            file.write(_sql(kind, number))
        with open(os.path.join(folder, f"{number:06d}_table.down.sql"), "w", encoding="ascii") as file:
            file.write("SELECT 1;\n")
    return names


class _Bench:
    def __init__(self, rig):
        self.rig, self.cluster = rig, rig.cluster
        self.folders = {kind: os.path.join(rig.folder, kind.lower().replace(" ", "-")) for kind in (TABLES, COLUMNS)}
        self.names = {kind: _write(folder, FILES, kind) for kind, folder in self.folders.items()}
        for kind, folder in self.folders.items():
            with open(folder + ".sql", "w", encoding="ascii") as file:
                file.writelines(f"BEGIN;\n\\i {name}\nCOMMIT;\n" for name in self.names[kind])
        self.big = os.path.join(rig.folder, "catalog")
        _write(self.big, CATALOG // 2)

    def _timed(self, *command, times=1):
        began = time.monotonic()
        for _ in range(times):
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
            if done.returncode != 0:
                raise Failure(f"{os.path.basename(command[0])}: {done.stdout[-500:]}")
        return (time.monotonic() - began) / times

    def _psql(self, *arguments):
        return (self.cluster.program("psql"), "-XqAt", "-h", self.cluster.folder, "-p", str(self.cluster.port), "-U", "postgres",
                "-d", "migrate", "-v", "ON_ERROR_STOP=1", *arguments)

    def one_psql(self, kind):
        return self._timed(*self._psql("-f", self.folders[kind] + ".sql"))

    def psql_for_each(self, kind):
        began = time.monotonic()
        for name in self.names[kind]:
            self._timed(*self._psql("-1", "-f", name))
        return time.monotonic() - began

    def headgate(self, kind, *options):
        url = f"postgresql://postgres@/migrate?host={self.cluster.folder}&port={self.cluster.port}"
        return self._timed(self.rig.options.headgate, "upgrade", "--url", url, "--dir", self.folders[kind], *options)

    def read(self):
        return self._timed(self.rig.options.headgate, "heads", "--dir", self.big, times=3)

    def fresh(self, measure, kind, *options):
        """In a database of its own; synchronous_commit as PostgreSQL comes, since a migration is always waited for."""
        self.cluster.sql("CREATE DATABASE migrate", "postgres")
        self.cluster.sql("ALTER DATABASE migrate SET synchronous_commit = on", "postgres")
        try:
            seconds = measure(kind, *options)
            made = self.cluster.sql("SELECT count(*) FROM pg_class WHERE relname ~ '^table_[0-9]+$'" if kind == TABLES else
                                    "SELECT count(*) FROM pg_attribute WHERE attrelid = 'wide'::regclass AND attnum > 0", "migrate")
            if made != str(FILES):
                raise Failure(f"{kind}: {made} done instead of {FILES}")
            return seconds
        finally:
            self.cluster.sql("DROP DATABASE migrate WITH (FORCE)", "postgres")


def migrate(rig, variants):
    """The variants are not used: there is no proxy in it."""
    names = {variant.name for variant in variants}
    bench = _Bench(rig)

    def add(case, variant, number, seconds):
        rig.results.add("migrate", case, variant, "time", "s", number, seconds)
        rig.say(f"migrate {number + 1}  {case:36s} {variant:10s} {seconds:.3f} s")

    for number in range(rig.options.rounds):
        for kind in (TABLES, COLUMNS):
            for how, options in ((FREE, ("--no-hold",)), (HELD, ())):
                add(f"{kind}, {how}", "direct", number, bench.fresh(bench.one_psql, kind))
                if "headgate" in names:
                    add(f"{kind}, {how}", "headgate", number, bench.fresh(bench.headgate, kind, *options))
            add(f"{kind}, {EACH}", "direct", number, bench.fresh(bench.psql_for_each, kind))
        if "headgate" in names:
            add(READ, "headgate", number, bench.read())
