"""The harness itself, against PostgreSQL directly: what the other files rest on."""

import pytest

from harness import wire
from harness.cluster import PASSWORD
from harness.stub import Stub
from harness.wait import until
from harness.wire import Refused, Wire


def test_wire_speaks_to_postgresql(cluster):
    cluster.database("h1")
    with Wire((cluster.host, cluster.port)).login(database="h1") as client:
        assert client.query("SELECT 1, NULL, 'x'") == [["1", None, "x"]]
        client.send(wire.parse("SELECT $1::int + 1"), wire.bind([41]), wire.execute(), wire.SYNC)
        assert client.kinds() == "12DCZ"
        client.send(wire.query("SELECT pg_sleep(60)"))
        until(lambda: cluster.active("h1", "pg_sleep(60)"), "a query at work")      # a cancel before it is lost
        client.cancel()
        with pytest.raises(Refused) as refused:
            client.answer()
        assert refused.value.code == "57014"
    assert cluster.sql("SELECT version_num FROM alembic_version", "h1") == [("old",)]
    cluster.record("h1", "a", "b")
    assert cluster.sql("SELECT version_num FROM alembic_version ORDER BY 1", "h1") == [("a",), ("b",)]


def test_wire_tls_and_md5(cluster):
    with Wire((cluster.host, cluster.port)).tls().login("u_md5", "postgres", PASSWORD) as client:
        assert client.query("SHOW ssl") == [["on"]]


def test_cluster_crashes_and_returns(own_cluster):
    client = Wire((own_cluster.host, own_cluster.port)).login(database="postgres")
    own_cluster.restart("crash")
    assert client.ends() is not None
    assert own_cluster.value("SELECT 1") == 1


def test_stub_is_a_server():
    with Stub(lambda peer, number: (peer.welcome(), peer.gone())) as server:
        with Wire((server.host, server.port)).login() as client:
            assert client.parameters["server_version"] == "15.0"
