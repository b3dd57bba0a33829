"""Section migrate: a thousand trivial migrations beside psql on the same files, and how long a folder of ten thousand takes to read.

psql is the variant direct: one process that does each file with \\i between BEGIN and COMMIT, which is the least that running them takes. A
psql for each file (-1 -f) is what scripts do. Each sample has a new database; headgate's time has the making of its ledger in it."""

import os
import subprocess
import time

from .children import Failure

FILES, CATALOG = 1000, 10000
HELD, FREE, EACH, READ = "held, without proxies", "--no-hold", "a psql for each file", f"{CATALOG:,} files read"


def _write(folder, count):
    """golang-migrate's layout: an up and a down a migration; psql's own list of the ups beside it."""
    os.makedirs(folder, exist_ok=True)
    names = []
    for number in range(1, count + 1):
        names.append(os.path.join(folder, f"{number:06d}_table.up.sql"))
        with open(names[-1], "w", encoding="ascii") as file:
            file.write(f"CREATE TABLE table_{number} (id bigint PRIMARY KEY, name text NOT NULL);\n")
        with open(os.path.join(folder, f"{number:06d}_table.down.sql"), "w", encoding="ascii") as file:
            file.write(f"DROP TABLE table_{number};\n")
    return names


class _Bench:
    def __init__(self, rig):
        self.rig, self.cluster = rig, rig.cluster
        self.folder = os.path.join(rig.folder, "migrations")
        self.names = _write(self.folder, FILES)
        self.all = os.path.join(rig.folder, "all.sql")
        with open(self.all, "w", encoding="ascii") as file:
            file.writelines(f"BEGIN;\n\\i {name}\nCOMMIT;\n" for name in self.names)
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

    def one_psql(self):
        return self._timed(*self._psql("-f", self.all))

    def psql_for_each(self):
        began = time.monotonic()
        for name in self.names:
            self._timed(*self._psql("-1", "-f", name))
        return time.monotonic() - began

    def headgate(self, *options):
        url = f"postgresql://postgres@/migrate?host={self.cluster.folder}&port={self.cluster.port}"
        return self._timed(self.rig.options.headgate, "upgrade", "--url", url, "--dir", self.folder, *options)

    def read(self):
        return self._timed(self.rig.options.headgate, "heads", "--dir", self.big, times=3)

    def fresh(self, measure, *arguments):
        """In a database of its own; synchronous_commit as PostgreSQL comes, since a migration is always waited for."""
        self.cluster.sql("CREATE DATABASE migrate", "postgres")
        self.cluster.sql("ALTER DATABASE migrate SET synchronous_commit = on", "postgres")
        try:
            seconds = measure(*arguments)
            made = self.cluster.sql("SELECT count(*) FROM pg_class WHERE relname LIKE 'table_%' AND relkind = 'r'", "migrate")
            if made != str(FILES):
                raise Failure(f"{made} tables instead of {FILES}")
            return seconds
        finally:
            self.cluster.sql("DROP DATABASE migrate WITH (FORCE)", "postgres")


def migrate(rig, variants):
    """The variants are not used: there is no proxy in it."""
    names = {variant.name for variant in variants}
    bench = _Bench(rig)

    def add(case, variant, number, seconds):
        rig.results.add("migrate", case, variant, "time", "s", number, seconds)
        rig.say(f"migrate {number + 1}  {case:24s} {variant:10s} {seconds:.3f} s")

    for number in range(rig.options.rounds):
        for case, options in ((FREE, ("--no-hold",)), (HELD, ())):
            add(case, "direct", number, bench.fresh(bench.one_psql))
            if "headgate" in names:
                add(case, "headgate", number, bench.fresh(bench.headgate, *options))
        add(EACH, "direct", number, bench.fresh(bench.psql_for_each))
        if "headgate" in names:
            add(READ, "headgate", number, bench.read())
