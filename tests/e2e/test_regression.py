"""PostgreSQL's own regression suite, directly and through the proxy: what fails through it must fail directly too, in the same way.

The SQL comes from Debian's source package (a private apt folder, nothing is installed), pg_regress from postgresql-server-dev. Where
they are not to be had, that is printed. Only over the release build: it is long, and the proxy's part of the time is small."""

import glob
import os
import re
import shutil
import subprocess
import tarfile

import pytest

from harness import place
from harness.cluster import Cluster
from harness.headgate import Headgate

pytestmark = pytest.mark.skipif(os.environ.get("HEADGATE_FLAVOUR", "e2e") != "e2e", reason="runs over the release build only")


def source(version):
    """The source package's tar ball, kept where HEADGATE_CACHE names a folder; or why it is not to be had."""
    base = os.environ.get("HEADGATE_CACHE")
    base = os.path.join(base, "postgresql") if base else place.folder("source")
    os.makedirs(base, exist_ok=True)
    found = glob.glob(f"{base}/postgresql-{version}_*.orig.tar.*")
    if found:
        return found[0], None
    private = place.folder("apt")
    for name in ("lists/partial", "cache/archives/partial"):
        os.makedirs(f"{private}/{name}")
    with open("/etc/os-release") as f:
        release = dict(line.strip().replace('"', "").split("=", 1) for line in f if "=" in line)
    name = release.get("VERSION_CODENAME", "")
    with open(f"{private}/sources.list", "w") as f:
        if release.get("ID") == "ubuntu":
            f.write(f"deb-src http://archive.ubuntu.com/ubuntu {name} main\ndeb-src http://archive.ubuntu.com/ubuntu {name}-updates main\n")
        else:
            f.write(f"deb-src http://deb.debian.org/debian {name} main\ndeb-src http://deb.debian.org/debian-security {name}-security main\n")
    options = ["-o", f"Dir::Etc::sourcelist={private}/sources.list", "-o", "Dir::Etc::sourceparts=/dev/null",
               "-o", f"Dir::State::lists={private}/lists", "-o", f"Dir::Cache={private}/cache", "-o", "Acquire::http::Timeout=20"]

    def apt(*words):
        return subprocess.run([words[0], *options, *words[1:]], cwd=base, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=120)

    said = apt("apt-get", "update").stdout
    versions = re.findall(r"^Version: (\S+)", apt("apt-cache", "showsrc", f"postgresql-{version}").stdout, re.M)
    here = subprocess.run(["dpkg-query", "-W", "-f=${Version}", f"postgresql-{version}"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True, check=False).stdout
    # Any minor version's SQL will do, both runs use it; but a newer regress.c may ask the server for what it has not.
    for one in sorted(set(versions), key=lambda one: (one == here, one), reverse=True):
        said = apt("apt-get", "--download-only", "source", f"postgresql-{version}={one}").stdout
        found = glob.glob(f"{base}/postgresql-{version}_*.orig.tar.*")
        if found:
            return found[0], None
    return None, "no source package: " + said[-200:].replace("\n", " ")


@pytest.fixture(scope="module")
def suite():
    version = os.path.basename(os.path.dirname(place.pg_bin()))
    program = f"/usr/lib/postgresql/{version}/lib/pgxs/src/test/regress/pg_regress"
    include = f"/usr/include/postgresql/{version}/server"
    if not os.path.exists(program) or not os.path.isdir(include):
        pytest.skip("no pg_regress: postgresql-server-dev is not here")
    if not shutil.which("apt-get"):
        pytest.skip("no apt here")
    ball, reason = source(version)
    if not ball:
        pytest.skip(reason)
    base = place.folder("regress", server=True)
    with tarfile.open(ball) as tar:
        members = [m for m in tar.getmembers() if "/src/test/regress/" in m.name and "/po/" not in m.name]
        for member in members:
            member.name = member.name.split("/src/test/regress/", 1)[1]
        tar.extractall(base, members)
    done = subprocess.run(["cc", "-shared", "-fPIC", "-w", f"-I{include}", "-o", f"{base}/regress.so", f"{base}/regress.c"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for library in ("refint.so", "autoinc.so"):  # up to PostgreSQL 14 the suite has them beside it
        os.symlink(f"/usr/lib/postgresql/{version}/lib/{library}", f"{base}/{library}")
    if done.returncode != 0:
        pytest.skip("regress.c does not compile here: " + done.stdout[-200:])
    return program, base


def run(suite, cluster, name, port):
    """One run of the whole schedule: the tests that differ from what is expected, each with its difference."""
    program, base = suite
    out = place.folder(name, server=True)
    for folder in ("sql", "expected", "testtablespace"):
        os.makedirs(f"{out}/{folder}", exist_ok=True)
        place.give(f"{out}/{folder}")
    cluster.sql("CREATE DATABASE regression TEMPLATE template0")
    for setting in ("lc_messages TO 'C'", "lc_monetary TO 'C'", "lc_numeric TO 'C'", "lc_time TO 'C'", "bytea_output TO 'hex'",
                    "timezone_abbreviations TO 'Default'"):
        cluster.sql(f"ALTER DATABASE regression SET {setting}")
    command = [program, "--use-existing", f"--inputdir={base}", f"--outputdir={out}", f"--dlpath={base}", f"--bindir={place.pg_bin()}",
               "--dbname=regression", "--host=127.0.0.1", f"--port={port}", "--user=postgres", "--max-connections=8",
               f"--schedule={base}/parallel_schedule"]
    env = {**os.environ, "PGTZ": "PST8PDT", "PGOPTIONS": ""}
    said = subprocess.run(place.as_server(command), cwd=out, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=800).stdout
    assert re.search(r"(All \d+ tests passed|\d+ of \d+ tests (failed|passed))", said), said[-3000:]
    failed = {}
    for test in re.findall(r"^(?:not ok \d+\s+[-+]|test|\s+)\s*(\w+)\s.*(?:FAILED|\d+ ms$)", said, re.M):
        if not re.search(rf"^.*\b{test}\b.*(FAILED|not ok)", said, re.M):
            continue
        with open(f"{out}/results/{test}.out", errors="replace") as f:
            failed[test] = f.read()
    return failed, said


@pytest.mark.timeout(850)
def test_no_difference(suite):
    with Cluster(settings="max_connections = 60\nmax_prepared_transactions = 0\ntimezone = 'PST8PDT'\ndatestyle = 'postgres, mdy'\n",
                 ssl=False) as cluster:
        directly, _ = run(suite, cluster, "directly", cluster.port)
    with Cluster(settings="max_connections = 60\nmax_prepared_transactions = 0\ntimezone = 'PST8PDT'\ndatestyle = 'postgres, mdy'\n",
                 ssl=False) as cluster:
        # Gated as usual, by a record that needs no table of ours in the suite's database.
        databases = {"*": {"upstream": {"address": f"127.0.0.1:{cluster.port}", "tls": {"mode": "disable"}},
                           "control": {"dsn": cluster.dsn("postgres")}, "undeclared": {"head": "old"},
                           "recorded": {"reader": "sql", "statement": "SELECT 'old', 'clean'"}}}
        with Headgate(databases, {"log": {"level": "info"}}) as gate:
            through, said = run(suite, cluster, "through", gate.port)
    count = len(re.findall(r"\.\.\. ok|^ok \d+", said, re.M))
    print(f"{count} tests ok through the proxy; differing from what is expected: {sorted(through)} (directly: {sorted(directly)})")
    assert count > 150, said[-3000:]
    new = {test: text for test, text in through.items() if directly.get(test) != text}
    if new:
        test, text = next(iter(new.items()))
        with open(f"{suite[1]}/expected/{test}.out", errors="replace") as f:
            import difflib

            difference = "\n".join(list(difflib.unified_diff(f.read().splitlines(), text.splitlines(), "expected", "through", lineterm=""))[:80])
        raise AssertionError(f"{sorted(new)} differ through the proxy only; {test}:\n{difference}")
