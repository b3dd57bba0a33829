"""Section memory: what a thousand idle sessions hold. Every sample has a proxy of its own, newly started.

Each session logs in, asks one question and stays. Counted is the resident memory of the proxy beyond that of its start; socket buffers
in the kernel are not in it. Then nothing is done for two seconds: what CPU does that cost?"""

import time

import psycopg2

from .children import Failure

SESSIONS = 1000


def _open(rig, variant, tls):
    """Connections keep out of transactions, and are kept by the caller."""
    connection = psycopg2.connect(
        host=variant.host, port=variant.tls_port() if tls else variant.port, user=rig.cluster.user, dbname=rig.cluster.database,
        sslmode="require" if tls else "disable", gssencmode="disable", connect_timeout=30, options=variant.options)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("SELECT abalance FROM pgbench_accounts WHERE aid = 7")
        cursor.fetchall()
    return connection


def _sample(rig, variant, case, number, tls):
    variant.start()
    connections = []
    try:
        time.sleep(0.5)
        before = variant.child.resident_kib()
        for _ in range(SESSIONS):
            connections.append(_open(rig, variant, tls))
        time.sleep(0.5)
        after = variant.child.resident_kib()
        cpu = variant.child.cpu()
        time.sleep(2)
        cpu = variant.child.cpu() - cpu
    finally:
        for connection in connections:
            connection.close()
        variant.stop()
    add = rig.results.add
    add("memory", case, variant.name, "resident memory per session", "KiB", number, (after - before) / SESSIONS)
    add("memory", case, variant.name, "resident memory at the start", "KiB", number, before)
    add("memory", case, variant.name, "CPU with all of them idle", "ms per s", number, cpu / 2 * 1000)
    rig.say(f"memory {number + 1}  {case:6s} {variant.name:22s} {(after - before) / SESSIONS:.2f} KiB a session, "
            f"{before} KiB at the start, {cpu / 2 * 1000:.2f} ms CPU per idle second")


def memory(rig, variants):
    """variants come unstarted. HAProxy is left out of TLS: it would only pass it through. Memory hardly varies, so half the rounds do."""
    for number in range(max(rig.options.rounds // 2, 1)):
        for case, tls in (("plain", False), ("TLS", True)):
            for variant in variants:
                if variant.name == "direct" or (tls and variant.name == "haproxy"):
                    continue
                try:
                    _sample(rig, variant, case, number, tls)
                except (Failure, psycopg2.Error) as failure:
                    rig.say(str(failure))
                    rig.results.note("memory", f"FAILED: {case}, {variant.name}: {failure}")
