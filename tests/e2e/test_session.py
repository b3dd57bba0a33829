"""The data path: bytes pass unchanged and in order, however they are cut, and IDLE is found exactly where it is.

Each of the hard cases of the protocol is followed by a hold: a tracker that lost count would either never park (the HOLD is
not answered with HELD) or park inside a transaction."""

import struct

import pytest

from harness import wire
from harness.cluster import Cluster
from harness.headgate import Headgate, section
from harness.wait import until
from harness.wire import Refused, Wire


@pytest.fixture(scope="module")
def gate(cluster):
    cluster.database("data")
    cluster.sql("CREATE TABLE t (a int, b text)", "data")
    cluster.sql("GRANT ALL ON t TO PUBLIC", "data")
    with Headgate({"app": section(cluster, "data")}) as running:
        running.until_recorded("old")
        yield running


@pytest.fixture
def client(gate):
    with gate.login("old") as connected:
        yield connected


def holds_and_releases(gate, client):
    """The session is IDLE in the proxy's eyes: it parks at once, and answers after the release."""
    with gate.console_wire() as console:
        assert gate.console("HOLD app DRAIN TIMEOUT 3s", console), gate.clients()
        client.send(wire.query("SELECT 'parked'"))
        assert client.nothing(0.15)
        gate.console("RELEASE app", console)
    assert client.answer() == [["parked"]]


def test_simple(gate, client):
    assert client.query("SELECT 1; SELECT 2, NULL") == [["1"], ["2", None]]
    with pytest.raises(Refused) as refused:
        client.query("SELECT 1; SELECT 1/0; SELECT 3")
    assert refused.value.code == "22012"
    client.send(wire.query(""))
    assert client.kinds() == "IZ"
    holds_and_releases(gate, client)


def test_transaction_is_busy(gate, client):
    client.query("BEGIN")
    with gate.console_wire() as console:
        with pytest.raises(Refused):
            gate.console("HOLD app DRAIN TIMEOUT 300ms ON TIMEOUT ABORT", console)
    with pytest.raises(Refused):
        client.query("SELECT 1/0")
    assert client.status == b"E"
    client.query("ROLLBACK")
    assert client.status == b"I"
    holds_and_releases(gate, client)


def test_extended_and_pipelined(gate, client):
    batch = b"".join([wire.parse("SELECT $1::int"), wire.bind([7]), wire.describe(), wire.execute(), wire.SYNC])
    client.send(batch * 5)
    for _ in range(5):
        assert client.kinds() == "12TDCZ"
    holds_and_releases(gate, client)


def test_error_in_a_pipelined_batch(gate, client):
    """After the error the server drops everything up to the Sync, the simple Query in the middle included."""
    client.send(wire.parse("SELECT 1/0"), wire.bind(), wire.execute(), wire.query("SELECT 'never'"), wire.parse("SELECT 2"),
                wire.bind(), wire.execute(), wire.SYNC, wire.parse("SELECT 3"), wire.bind(), wire.execute(), wire.SYNC)
    assert client.kinds()[-2:] == "EZ"
    assert client.kinds() == "12DCZ"
    holds_and_releases(gate, client)


def test_flush_without_sync_is_a_transaction(gate, client):
    client.send(wire.parse("SELECT 5"), wire.FLUSH)
    assert client.message()[0] == "1"
    with gate.console_wire() as console:
        with pytest.raises(Refused):
            gate.console("HOLD app DRAIN TIMEOUT 300ms ON TIMEOUT ABORT", console)
    client.send(wire.bind(), wire.execute(), wire.SYNC)
    assert client.kinds() == "2DCZ"
    holds_and_releases(gate, client)


def test_several_syncs_and_queries_at_once(gate, client):
    client.send(wire.SYNC, wire.query("SELECT 1"), wire.SYNC, wire.query("SELECT 2"), wire.SYNC)
    assert [client.kinds() for _ in range(5)] == ["Z", "TDCZ", "Z", "TDCZ", "Z"]
    holds_and_releases(gate, client)


def test_copy_in_simple(gate, client):
    client.send(wire.query("COPY t FROM STDIN"))
    assert client.message()[0] == "G"
    # Flush and Sync mean nothing to a server in COPY.
    client.send(wire.copy_data(b"1\tone\n"), wire.SYNC, wire.FLUSH, wire.copy_data(b"2\ttwo\n"), wire.COPY_DONE)
    assert client.kinds() == "CZ"
    holds_and_releases(gate, client)


def test_copy_in_extended_with_two_syncs(gate, client):
    """libpq sends a Sync with the COPY and one after it, and gets one ReadyForQuery."""
    client.send(wire.parse("COPY t FROM STDIN"), wire.bind(), wire.execute(), wire.SYNC)
    kinds = [client.message()[0] for _ in range(3)]
    assert kinds == ["1", "2", "G"]
    client.send(wire.copy_data(b"3\tthree\n"), wire.COPY_DONE, wire.SYNC)
    assert client.kinds() == "CZ"
    holds_and_releases(gate, client)


def test_copy_in_that_fails(gate, client):
    """The client has sent more than the server wanted to see; what is left over is dropped by the server, and counted so."""
    client.send(wire.query("COPY t FROM STDIN"))
    assert client.message()[0] == "G"
    client.send(wire.copy_data(b"not a number\tx\n"), wire.copy_data(b"5\tfive\n") * 50, wire.COPY_DONE)
    assert client.kinds() == "EZ"
    client.send(wire.query("COPY t FROM STDIN"))
    assert client.message()[0] == "G"
    client.send(wire.copy_fail("no more"))
    assert client.kinds() == "EZ"
    holds_and_releases(gate, client)


def test_copy_in_extended_that_fails(gate, client):
    client.send(wire.parse("COPY t FROM STDIN"), wire.bind(), wire.execute(), wire.SYNC)
    assert [client.message()[0] for _ in range(3)] == ["1", "2", "G"]
    client.send(wire.copy_data(b"x\tx\n"), wire.COPY_DONE, wire.SYNC)
    assert client.kinds() == "EZ"
    holds_and_releases(gate, client)


def test_copy_out(gate, client):
    client.send(wire.query("COPY (SELECT i, repeat('x', 100) FROM generate_series(1, 20000) i) TO STDOUT"))
    kinds = client.kinds()
    assert kinds.count("d") == 20000 and kinds[0] == "H" and kinds[-3:] == "cCZ"
    holds_and_releases(gate, client)


def test_function_call(gate, client):
    """The old fast path; large objects use it. int4pl(20, 22)."""
    oid = client.query("SELECT 'int4pl'::regproc::oid")[0][0]
    call = struct.pack("!IH", int(oid), 1) + struct.pack("!H", 0) + struct.pack("!H", 2)
    call += b"".join(struct.pack("!I", 2) + text for text in (b"20", b"22")) + struct.pack("!H", 0)
    client.send(wire.message("F", call))
    seen = client.ready()
    assert seen[0] == ("V", struct.pack("!I", 2) + b"42") and seen[1][0] == "Z"
    client.send(wire.message("F", call), wire.parse("SELECT 1/0"), wire.bind(), wire.execute(), wire.message("F", call), wire.SYNC)
    assert client.kinds() == "VZ"
    assert client.kinds()[-2:] == "EZ"
    holds_and_releases(gate, client)


def test_notices_notifications_parameters(gate, client):
    client.query("LISTEN here")
    client.send(wire.query("DO $$BEGIN RAISE NOTICE 'hello'; END$$; SET application_name = 'renamed'; NOTIFY here, 'payload'"))
    client.ready()
    assert client.notices[0]["M"] == "hello"
    assert client.parameters["application_name"] == "renamed"
    assert b"payload" in client.notifications[0]
    with gate.login("old") as other:
        other.query("NOTIFY here, 'from afar'")
    # arrives while the session is idle
    kind, body = client.receive()
    assert kind == "A" and b"from afar" in body
    holds_and_releases(gate, client)


def test_portal_suspended(gate, client):
    client.send(wire.query("BEGIN"))
    client.ready()
    client.send(wire.parse("SELECT generate_series(1, 5)"), wire.bind(), wire.execute(rows=2), wire.SYNC)
    assert client.kinds() == "12DDsZ"
    client.send(wire.execute(rows=0), wire.SYNC)
    assert client.kinds() == "DDDCZ"
    client.query("COMMIT")
    holds_and_releases(gate, client)


@pytest.mark.parametrize("mebibytes", [1, 64])
def test_big_messages_are_streamed(gate, cluster, client, mebibytes):
    """A message is never gathered whole: the proxy's memory does not grow with it."""
    before = gate.rss_kib()
    text = "x" * (mebibytes * 1024 * 1024)
    assert client.query(f"SELECT length('{text}')") == [[str(len(text))]]
    assert client.query(f"SELECT repeat('y', {len(text)})") == [["y" * len(text)]]
    assert gate.rss_kib() - before < 24 * 1024
    holds_and_releases(gate, client)


def test_every_split(gate, cluster):
    """The same conversation cut in two at every offset gives the same answer, from the first byte on."""
    start = wire.startup(user="u_trust", database="app", options="-c headgate.head=old", application_name="cut")
    talk = wire.query("SELECT 1") + wire.parse("SELECT $1::int") + wire.bind([2]) + wire.execute() + wire.SYNC
    for at in range(1, len(start)):
        with gate.wire() as client:
            client.send_split(start, at)
            client.finish_login()
    with gate.login("old") as client:
        for at in range(1, len(talk)):
            client.send_split(talk, at)
            assert client.kinds() == "TDCZ" and client.kinds() == "12DCZ"
        holds_and_releases(gate, client)


def test_both_sides_blocked_in_write(gate, client):
    """The client pipelines without reading until nothing goes any more, the server's answers fill every buffer; then it reads
    all. A relay that stops reading one direction while the other is blocked would stand still for ever."""
    client.socket.setblocking(False)
    one = wire.query("SELECT repeat('z', 20000)")
    sent, count = b"", 0
    try:
        while count < 3000:
            sent = one
            while sent:
                sent = sent[client.socket.send(sent):]
            count += 1
    except BlockingIOError:
        pass
    client.socket.setblocking(True)
    client.timeout(60)
    client.buffer = b""
    import threading

    rest = threading.Thread(target=lambda: client.send(sent)) if sent else None
    if rest:
        rest.start()
        count += 1
    for _ in range(count):
        assert client.kinds() == "TDCZ"
    if rest:
        rest.join()


def test_half_closed_client(gate, client, cluster):
    """A client that sends its last query and shuts down its side still gets the answer where PostgreSQL gives one; no session stays."""
    with gate.no_leak():
        with gate.login("old") as other:
            other.send(wire.TERMINATE)
            assert other.ends() == []


def test_unix_socket_and_ipv6(cluster, gated, tmp_path):
    from harness import place

    base = place.folder("sock")
    port6 = place.port("::1")
    path = f"{base}/.s.PGSQL.6432"
    gate = gated(config={"listen": [{"address": f"unix:{path}"}, {"address": f"[::1]:{port6}"}]})
    for address in (path, ("::1", port6)):
        with Wire(address).login("u_trust", "app", options="-c headgate.head=old") as client:
            assert client.query("SELECT 1") == [["1"]]
    # and the upstream by unix socket
    gate.config["databases"]["app"]["upstream"]["address"] = f"unix:{cluster.socket}/.s.PGSQL.{cluster.port}"
    gate.write()
    gate.reload()
    with Wire(path).login("u_trust", "app", options="-c headgate.head=old") as client:
        assert client.query("SELECT inet_server_addr() IS NULL") == [["t"]]


def test_several_upstream_addresses(cluster, gated, dbname):
    """The first address refuses, the second answers."""
    from harness import place

    gate = gated(upstream={"address": [f"127.0.0.1:{place.port()}", f"localhost:{cluster.port}"]})
    with gate.login("old") as client:
        assert client.query("SELECT 1") == [["1"]]


def test_protocol_3_2_and_unknown_options_are_negotiated_by_the_server(gate):
    """The server answers NegotiateProtocolVersion itself, with what it speaks (3.2 from PostgreSQL 18 on); it passes back unchanged."""
    with gate.wire() as client:
        client.send(wire.startup(wire.V32, user="u_trust", database="app", options="-c headgate.head=old", **{"_pq_.test": "1"}))
        client.finish_login()
        version, count = struct.unpack("!II", client.negotiated[:8])
        assert (version & 0xFFFF) in (0, 2) and count == 1 and b"_pq_.test" in client.negotiated
        assert client.query("SELECT 1") == [["1"]]


def test_cancel_with_protocol_3_2(cluster, gate):
    """From PostgreSQL 18 on the key has 32 bytes."""
    with gate.wire() as client:
        client.send(wire.startup(wire.V32, user="u_trust", database="app", options="-c headgate.head=old"))
        client.finish_login()
        client.send(wire.query("SELECT pg_sleep(60)"))
        until(lambda: cluster.active("data", "pg_sleep(60)"), "a query at work")
        client.cancel()
        with pytest.raises(Refused) as refused:
            client.answer()
        assert refused.value.code == "57014"


def test_long_cancel_keys():
    """BackendKeyData of 3.2 may carry 256 bytes; a cancel with it is forwarded verbatim."""
    from harness.stub import AUTH_OK, READY, Stub

    key = bytes(range(256))
    got = []

    def script(peer, number):
        packet = peer.packet()
        if packet[4:8] == struct.pack("!I", 80877102):
            got.append(packet)
            return
        peer.send(AUTH_OK, wire.message("K", struct.pack("!I", 99) + key), READY)
        peer.gone()

    with Stub(script) as server:
        databases = {"app": {"upstream": {"address": f"127.0.0.1:{server.port}", "tls": {"mode": "disable"}}, "control": {"dsn": "host=127.0.0.1 port=1"},
                             "recorded": {"reader": "alembic"}, "mode": "observe"}}
        with Headgate(databases) as gate:
            with gate.login(version=wire.V32) as client:
                assert client.pid == 99 and client.key == key
                client.cancel()
            assert got and got[0][8:] == struct.pack("!I", 99) + key


def test_replication_connection_passes_or_is_refused(cluster, gated, dbname):
    gate = gated()
    with gate.login(user="postgres", head="old", replication="database") as client:
        assert client.query("IDENTIFY_SYSTEM")[0][3] == dbname
    gate.configure(databases={"app": {"replication": False}})
    gate.reload()
    with pytest.raises(Refused) as refused:
        gate.login(user="postgres", head="old", replication="database")
    assert refused.value.code == "55000"


def test_sql_on_a_logical_replication_connection_is_gated():
    """replication=database takes ordinary SQL: it is asked, held and parked as any client, until it streams. Then it keeps nobody waiting, and
    takes no statement any more."""
    with Cluster(settings="wal_level = logical\n") as server:
        server.with_users().database("shop")
        with Headgate({"app": section(server, "shop")}) as gate:
            gate.until_recorded("old")
            with pytest.raises(Refused) as refused:
                gate.login("wrong", user="postgres", replication="database")
            assert refused.value.code == "55000"
            client = gate.login("old", user="postgres", replication="database")
            with gate.console_wire() as console:
                gate.console("HOLD app", console)
                client.send(wire.query("SELECT 'held like others'"))
                assert client.nothing(0.2)
                gate.console("RELEASE app", console)
                assert client.answer() == [["held like others"]]
                client.query("CREATE_REPLICATION_SLOT watch TEMPORARY LOGICAL test_decoding")
                client.send(wire.query("START_REPLICATION SLOT watch LOGICAL 0/0"))
                until(lambda: gate.clients()[0]["state"] == "replication", "streaming")
                gate.console("HOLD app", console)
                gate.console("RELEASE app", console)
                client.send(wire.query("DROP TABLE alembic_version"))
                with pytest.raises(Refused) as refused:
                    client.answer()
                assert refused.value.code == "08P01"
            assert server.value("SELECT count(*) FROM alembic_version", "shop") == 1


def test_the_servers_refusal_passes_unchanged(gate):
    with pytest.raises(Refused) as refused:
        gate.login("old", user="nobody_of_that_name")
    assert refused.value.code == "28000"
    with pytest.raises(Refused) as refused:
        gate.login("old", database="no_such_section")
    assert refused.value.code == "3D000"
    assert refused.value.fields["D"] == 'the client asked for database "no_such_section"'
    with pytest.raises(Refused) as refused:
        gate.login("old", database="tab\t" + "x" * 5000)
    assert refused.value.fields["D"] == 'the client asked for database "tab?' + "x" * 59 + '"'


def test_no_descriptor_stays(gate):
    with gate.no_leak():
        for _ in range(30):
            with gate.login("old") as client:
                client.query("SELECT 1")
        for _ in range(10):
            gate.login("old").reset()
