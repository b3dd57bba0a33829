"""Fixtures: one cluster a file where nothing breaks it, a database a test, and the proxy in front of it."""

import itertools
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness.cluster import Cluster  # noqa: E402
from harness.headgate import Headgate, section  # noqa: E402

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def cluster():
    with Cluster() as running:
        yield running.with_users()


@pytest.fixture
def own_cluster():
    """For tests that break it."""
    with Cluster() as running:
        yield running.with_users()


@pytest.fixture
def dbname(cluster):
    """A fresh database recorded at `old`, under the proxy's name `app`."""
    name = f"shop{next(_numbers)}"
    cluster.database(name)
    yield name
    cluster.sql(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def gated(cluster, dbname):
    """Makes proxies in front of this test's database: gated(undeclared="admit", config={...}). All are stopped, and checked, at
    the end."""
    made = []

    def make(config=None, init=False, environment=None, **more):
        gate = Headgate({"app": section(cluster, dbname, **more)}, config, start=False, environment=environment)
        if init:
            gate.run("init", "-d", "app")
            # as if it had been there for long: exec waits for proxies that may not know a new one yet
            cluster.sql("UPDATE headgate.version SET applied_at = applied_at - interval '1 hour'", dbname)
        made.append(gate)
        return gate.start()

    yield make
    for gate in made:
        gate.stop()
