"""TLS on both legs, client certificates both ways, and authentication through them, by DESIGN's channel binding table."""

import itertools
import os
import shutil
import ssl
import subprocess

import pytest

from harness import place, wire
from harness.certs import certs
from harness.cluster import PASSWORD
from harness.headgate import Headgate, section
from harness.wait import until
from harness.wire import Closed, Refused, Wire

psycopg2 = pytest.importorskip("psycopg2")


class Front:
    """One proxy with a listener for each client leg and a section for each server leg."""

    def __init__(self, cluster):
        made = certs()
        self.ports = {name: place.port() for name in ("plain", "same", "other", "certs", "verified")}
        both = {"cert": made.server, "key": made.server_key}
        listen = [
            {"address": f"127.0.0.1:{self.ports['plain']}"},
            {"address": f"127.0.0.1:{self.ports['same']}", "tls": dict(both, mode="require")},
            {"address": f"127.0.0.1:{self.ports['other']}", "tls": {"cert": made.other, "key": made.other_key, "mode": "prefer"}},
            {"address": f"127.0.0.1:{self.ports['certs']}", "tls": dict(both, mode="verify-ca", ca=made.ca)},
            {"address": f"127.0.0.1:{self.ports['verified']}", "tls": dict(both, mode="verify-full", ca=made.ca)},
        ]
        to = {"address": f"127.0.0.1:{cluster.port}", "dbname": "tls"}
        legs = {
            "plain": {"mode": "disable"}, "prefer": {"mode": "prefer"}, "allow": {"mode": "allow"}, "require": {"mode": "require"},
            "verify-ca": {"mode": "verify-ca", "ca": made.ca}, "verify-full": {"mode": "verify-full", "ca": made.ca},
            "cert": {"mode": "verify-full", "ca": made.ca, "cert": made.client, "key": made.client_key},
            "wrong-ca": {"mode": "verify-ca", "ca": made.stray_ca},
        }
        databases = {name: section(cluster, "tls", undeclared="admit", upstream=dict(to, tls=tls)) for name, tls in legs.items()}
        databases["named"] = section(cluster, "tls", undeclared="admit", upstream=dict(
            to, address=f"localhost:{cluster.port}", tls=legs["verify-full"]))
        databases["socket"] = section(cluster, "tls", undeclared="admit", upstream=dict(
            to, address=f"unix:{cluster.socket}/.s.PGSQL.{cluster.port}"))
        for one in databases.values():
            one["control"] = {"dsn": cluster.dsn("tls")}
        self.gate = Headgate(databases, {"listen": listen}, start=False)

    def address(self, listener):
        return ("127.0.0.1", self.ports[listener])


@pytest.fixture(scope="module")
def front(cluster):
    cluster.database("tls")
    front = Front(cluster)
    with front.gate.start():
        yield front


def connect(front, listener, database, user, **more):
    parameters = dict(host="127.0.0.1", port=front.ports[listener], dbname=database, user=user, sslmode="prefer",
                      connect_timeout=20, gssencmode="disable")
    if user in ("u_md5", "u_scram"):
        parameters["password"] = PASSWORD
    parameters.update(more)
    return psycopg2.connect(**{k: v for k, v in parameters.items() if v is not None})


def ask(connection, sql="SELECT session_user, (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid())"):
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchone()
    finally:
        connection.close()


# client leg, server leg, users that work
WORKS = [
    ("plain", "plain"), ("plain", "require"), ("plain", "verify-full"), ("plain", "socket"),
    ("same", "plain"), ("same", "socket"), ("same", "require"), ("same", "verify-ca"), ("same", "verify-full"), ("same", "prefer"),
    ("same", "allow"), ("same", "named"), ("other", "plain"), ("other", "socket"), ("plain", "allow"), ("plain", "prefer"),
]


@pytest.mark.parametrize("listener,database", WORKS)
@pytest.mark.parametrize("user", ["u_trust", "u_md5", "u_scram"])
def test_what_the_table_allows(front, listener, database, user):
    who, tls = ask(connect(front, listener, database, user))
    assert who == user
    assert tls == (database in ("require", "verify-ca", "verify-full", "prefer", "named"))


def test_channel_binding_is_relayed_where_the_certificate_is_the_same(front):
    """-PLUS itself, demanded by the client."""
    ask(connect(front, "same", "require", "u_scram", channel_binding="require"))
    ask(connect(front, "same", "require", "u_scram", channel_binding="disable"))


@pytest.mark.parametrize("listener,database", [("plain", "require"), ("same", "plain"), ("same", "socket")])
def test_channel_binding_cannot_be_demanded_elsewhere(front, listener, database):
    with pytest.raises(psycopg2.OperationalError):
        connect(front, listener, database, "u_scram", channel_binding="require")


def test_scram_over_two_certificates_is_refused_clearly(front):
    """The client would say `p` or `y`, and the server would refuse: told before, in the error and in the log, with what to change."""
    size = front.gate.log_size()
    with pytest.raises(psycopg2.OperationalError) as refused:
        connect(front, "other", "require", "u_scram", sslmode="require")
    assert "channel binding" in str(refused.value).lower(), refused.value
    assert "channel binding" in front.gate.log_from(size).lower()
    for user in ("u_trust", "u_md5"):
        assert ask(connect(front, "other", "require", user, sslmode="require"))[0] == user
    # libpq's `prefer` then comes again without TLS, where it works
    assert ask(connect(front, "other", "require", "u_scram"))[0] == "u_scram"


def test_plain_where_tls_is_required(front):
    with pytest.raises(psycopg2.OperationalError):
        connect(front, "same", "plain", "u_trust", sslmode="disable")
    with Wire(front.address("same")) as client:
        with pytest.raises(Refused) as refused:
            client.login("u_trust", "plain")
        assert refused.value.code == "28000"


def test_tls_where_there_is_none(front):
    with Wire(front.address("plain")) as client:
        client.send(wire.SSL_REQUEST)
        assert client.bytes(1) == b"N"
        client.login("u_trust", "plain")
    with pytest.raises(psycopg2.OperationalError):
        connect(front, "plain", "plain", "u_trust", sslmode="require")


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
def test_the_client_verifies_the_proxy(front, mode):
    named = dict(host="localhost", hostaddr="127.0.0.1", sslmode=mode)  # libpq before 15 knows no addresses in certificates
    ask(connect(front, "same", "plain", "u_trust", sslrootcert=certs().ca, **named))
    with pytest.raises(psycopg2.OperationalError, match="certificate verify failed"):
        connect(front, "same", "plain", "u_trust", sslrootcert=certs().stray_ca, **named)


def test_client_certificates(front):
    made = certs()
    good = {"sslcert": made.client, "sslkey": made.client_key, "sslmode": "require"}
    ask(connect(front, "certs", "plain", "u_trust", **good))
    # verify-full: the certificate's name is the user's
    assert ask(connect(front, "verified", "cert", "u_cert", **good))[0] == "u_cert"
    with pytest.raises(psycopg2.OperationalError):
        connect(front, "verified", "plain", "u_trust", **good)
    for listener, bad in itertools.product(("certs", "verified"), (
            {"sslcert": made.stray, "sslkey": made.stray_key, "sslmode": "require"},
            {"sslcert": "/nonexistent", "sslkey": "/nonexistent", "sslmode": "require"})):
        with pytest.raises(psycopg2.OperationalError):
            connect(front, listener, "plain", "u_cert", **bad)


def test_a_certificate_for_the_server(front):
    """The server's `cert` authentication sees the proxy's certificate; without one it refuses, in its own words."""
    assert ask(connect(front, "plain", "cert", "u_cert"))[0] == "u_cert"
    with pytest.raises(psycopg2.OperationalError) as refused:
        connect(front, "plain", "require", "u_cert")
    assert "certificate" in str(refused.value)


def test_the_server_is_verified(front, cluster):
    with pytest.raises(psycopg2.OperationalError) as refused:
        connect(front, "plain", "wrong-ca", "u_trust")
    assert "certificate" in str(refused.value).lower() + front.gate.log().lower()


def test_direct_tls(front):
    """PostgreSQL 17's: the handshake first, ALPN demanded."""
    with Wire(front.address("same")) as client:
        client.tls(direct=True).login("u_trust", "plain")
        assert client.query("SELECT 1") == [["1"]]
        assert client.socket.selected_alpn_protocol() == "postgresql"
    for alpn in ((), ("http/1.1",)):
        with Wire(front.address("same")) as client:
            with pytest.raises(Closed):
                client.tls(direct=True, alpn=alpn)
                client.login("u_trust", "plain")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_versions(front, version):
    with Wire(front.address("same")) as client:
        client.tls(version=version).login("u_trust", "plain")
        assert client.query("SELECT 1") == [["1"]]


def test_floor_is_1_2(front):
    program = ["openssl", "s_client", "-connect", f"127.0.0.1:{front.ports['same']}", "-starttls", "postgres", "-tls1_1",
               "-cipher", "ALL:@SECLEVEL=0"]
    done = subprocess.run(program, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=20)
    assert "Cipher is (NONE)" in done.stdout or done.returncode != 0, done.stdout


def test_big_answers_through_tls(front):
    with Wire(front.address("same")) as client:
        client.tls().login("u_trust", "require")
        text = client.query("SELECT repeat('q', 5000000)")[0][0]
        assert len(text) == 5000000
        big = "z" * 3000000
        assert client.query(f"SELECT length('{big}')") == [["3000000"]]


def test_cancel_through_tls(front, cluster):
    with Wire(front.address("same")) as client:
        client.tls().login("u_trust", "require")
        client.send(wire.query("SELECT pg_sleep(60)"))
        until(lambda: cluster.active("tls", "pg_sleep(60)"), "a query at work")
        client.cancel(tls=True)
        with pytest.raises(Refused) as refused:
            client.answer()
        assert refused.value.code == "57014"


def test_reload_of_certificates_drops_nobody(cluster, gated):
    made, base = certs(), place.folder("moving")
    for source, name in ((made.server, "c.crt"), (made.server_key, "c.key")):
        shutil.copy(source, f"{base}/{name}")
    os.chmod(f"{base}/c.key", 0o600)
    gate = gated(undeclared="admit")
    gate.config["listen"][0]["tls"] = {"cert": f"{base}/c.crt", "key": f"{base}/c.key", "mode": "require"}
    gate.write()
    gate.reload()

    def serial():
        with gate.wire() as client:
            client.tls().login("u_trust", "app")
            return ssl.DER_cert_to_PEM_cert(client.socket.getpeercert(True))

    old = gate.wire().tls()
    old.login("u_trust", "app")
    first = serial()
    for source, name in ((made.other, "c.crt"), (made.other_key, "c.key")):
        shutil.copy(source, f"{base}/{name}")
    gate.reload()
    assert serial() != first
    assert old.query("SELECT 'still here'") == [["still here"]]
    # a broken pair leaves the old one in force, and says so
    with open(f"{base}/c.crt", "w") as f:
        f.write("no certificate")
    told = gate.reload()
    assert "c.crt" in told
    with gate.wire() as client:
        client.tls().login("u_trust", "app")


def test_the_end_follows_the_last_words(cluster):
    """A live client that is sent away sees TLS's end behind what it was told, not only when we give up waiting for its own."""
    cluster.database("tls_end")
    running = Headgate({"app": section(cluster, "tls_end")}, start=False)
    running.config["listen"][0]["tls"] = {"cert": certs().server, "key": certs().server_key}
    running.write()
    with running.start() as gate, gate.wire() as client:
        gate.until_recorded("old")
        client.tls().login("u_trust", "app", options="-c headgate.head=old")
        cluster.record("tls_end", "new")
        seen = client.ends()
        assert wire.fields(seen[-1][1])["C"] == "57P01"
        assert [row["state"] for row in gate.clients()] == ["linger"]
