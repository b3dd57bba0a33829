"""The gate's verdicts, the error table, and all the ways a client may declare its head."""

import pytest

from harness import place, wire
from harness.headgate import merge
from harness.wait import until
from harness.wire import Refused, Wire


def refusal(make):
    with pytest.raises(Refused) as refused:
        make()
    return refused.value.fields


def check_detail(fields, **expected):
    for name, value in expected.items():
        assert f"{name}={value}" in fields["D"], fields


def test_behind_is_refused_with_both_heads(cluster, dbname, gated):
    gate = gated()
    cluster.record(dbname, "new")
    gate.until_recorded("new")
    told = refusal(lambda: gate.login("old"))
    assert told["S"] == "FATAL" and told["C"] == "55000"
    assert "old" in told["M"] and "new" in told["M"] and "app" in told["M"]
    check_detail(told, declared="old", recorded="new", accepted="new", relation="behind")
    assert told["H"]
    assert cluster.backends(dbname) == 0, "a refusal makes no connection to the server"
    with gate.login("new") as client:
        assert client.query("SELECT 1") == [["1"]]


def test_ahead_is_refused_or_unknown(gated):
    gate = gated()
    gate.until_recorded("old")
    check_detail(refusal(lambda: gate.login("new")), relation="ahead", declared="new", recorded="old")
    check_detail(refusal(lambda: gate.login("nobody-knows-me")), relation="unknown")


def test_ahead_waits_for_the_upgrade(cluster, dbname, gated):
    """The new release is rolled out before the migration: its clients wait, and are let in as soon as the head is there."""
    gate = gated(ahead={"hold": "30s"})
    gate.until_recorded("old")
    waiting = [gate.begin_login("new") for _ in range(20)]
    until(lambda: sum(row["state"] == "held" for row in gate.clients()) == 20, "20 held clients")
    assert all(client.nothing(0.01) for client in waiting)
    assert cluster.backends(dbname) == 0
    cluster.record(dbname, "new")
    for client in waiting:
        client.finish_login()
        assert client.query("SELECT 1") == [["1"]]
        client.close()


def test_ahead_waits_no_longer_than_its_budget(gated):
    gate = gated(ahead={"hold": "400ms"})
    gate.until_recorded("old")
    told = refusal(lambda: gate.login("new"))
    assert told["C"] == "57P03"


def test_recorded_moves_past_a_waiting_client(cluster, dbname, gated):
    """Held as ahead, and then the head jumps over it: it is told `behind`, not left waiting."""
    gate = gated(ahead={"hold": "30s"})
    gate.until_recorded("old")
    client = gate.begin_login("new")
    until(lambda: any(row["state"] == "held" for row in gate.clients()), "the held client")
    cluster.record(dbname, "newest")
    told = client.fatal()
    assert told["C"] == "55000" and "relation=behind" in told["D"]


def test_live_sessions_are_asked_again(cluster, dbname, gated):
    """An idle session is told at once; a busy one goes on to its transaction's end."""
    gate = gated()
    idle, busy = gate.login("old"), gate.login("old")
    busy.query("BEGIN")
    cluster.record(dbname, "new")
    told = idle.fatal()
    assert told["C"] == "57P01" and told["S"] == "FATAL"
    assert busy.query("SELECT 1") == [["1"]]
    busy.query("COMMIT")
    assert busy.fatal()["C"] == "57P01"
    assert "55000" == refusal(lambda: gate.login("old"))["C"]


def test_undeclared(cluster, dbname, gated):
    gate = gated()
    gate.until_recorded("old")
    told = refusal(lambda: gate.login(None))
    assert told["C"] == "55000" and "headgate.head" in told["H"]
    gate.configure(databases={"app": {"undeclared": "admit"}})
    gate.reload()
    with gate.login(None) as client:
        assert client.query("SELECT 1") == [["1"]]
    gate.configure(databases={"app": {"undeclared": {"head": "new"}}})
    gate.reload()
    check_detail(refusal(lambda: gate.login(None)), relation="ahead")
    gate.config["databases"]["app"]["undeclared"] = {"head": "old"}
    gate.write()
    gate.reload()
    with gate.login(None) as client:
        assert client.query("SELECT 1") == [["1"]]


def test_observe_admits_and_logs(cluster, dbname, gated):
    gate = gated(mode="observe")
    gate.until_recorded("old")
    size = gate.log_size()
    with gate.login("new") as client:
        assert client.query("SELECT 1") == [["1"]]
        until(lambda: "ahead" in gate.log_from(size), "a log line with what the verdict would have been")
    cluster.record(dbname, "newest")
    gate.until_recorded("newest")
    with gate.login("old") as client:
        assert client.query("SELECT 1") == [["1"]]


def test_pins(cluster, dbname, gated):
    gate = gated(pins=["old"])
    cluster.record(dbname, "new")
    gate.until_recorded("new")
    for head in ("old", "new"):
        with gate.login(head) as client:
            assert client.query("SELECT 1") == [["1"]]
    check_detail(refusal(lambda: gate.login("newest")), relation="ahead")


def test_disclose_false_names_no_recorded_head(cluster, dbname, gated):
    gate = gated(disclose=False)
    cluster.record(dbname, "new")
    gate.until_recorded("new")
    told = refusal(lambda: gate.login("old"))
    assert told["C"] == "55000"
    for text in told.values():
        assert "new" not in text.replace("newest", ""), told


def test_branches_are_sets(cluster, dbname, gated):
    gate = gated()
    cluster.record(dbname, "left", "right")
    gate.until_recorded("left+right")
    for declared in ("left+right", "right+left"):
        with gate.login(declared) as client:
            assert client.query("SELECT 1") == [["1"]]
    check_detail(refusal(lambda: gate.login("left")), relation="unknown")


def test_empty_absent_unreadable(cluster, dbname, gated):
    gate = gated(hold={"max": "700ms"}, drain={"timeout": "500ms"})
    cluster.record(dbname)
    until(lambda: gate.gate()["state"] == "empty", "an empty version table")
    assert refusal(lambda: gate.login("old"))["C"] == "55000"
    cluster.sql("DROP TABLE alembic_version", dbname)
    until(lambda: gate.gate()["state"] == "absent", "no version table")
    assert refusal(lambda: gate.login("old"))["C"] == "55000"
    cluster.sql("CREATE TABLE alembic_version (version_num text)", dbname)
    cluster.record(dbname, "two words")
    until(lambda: gate.gate()["state"] == "unreadable", "what cannot be a head")
    # nothing to go by: held as if there were no reading, until the budget ends
    assert refusal(lambda: gate.login("old"))["C"] == "57P03"
    cluster.record(dbname, "old")
    gate.until_recorded("old")
    gate.login("old").close()


def test_reader_sql(cluster, dbname, gated):
    gate = gated(recorded={"reader": "sql", "schema": None, "order": "numeric",
                           "statement": "SELECT max(v)::text, 'clean' FROM public.versions"})
    cluster.sql("CREATE TABLE versions AS SELECT 9 AS v", dbname)
    gate.until_recorded("9")
    gate.login("9").close()
    check_detail(refusal(lambda: gate.login("10")), relation="ahead")
    check_detail(refusal(lambda: gate.login("8")), relation="behind")


def test_reader_headgate(cluster, dbname, gated):
    """Our own ledger as the record."""
    gate = gated(init=True, recorded={"reader": "headgate", "schema": None})
    cluster.sql("INSERT INTO headgate.head (head) VALUES ('r1')", dbname)
    gate.until_recorded("r1")
    gate.login("r1").close()
    assert refusal(lambda: gate.login("r2"))["C"] == "55000"


def test_a_change_of_the_record_is_seen_at_once_with_the_trigger(cluster, dbname, gated):
    """`headgate init` puts a trigger on the version table: no renewal need come round."""
    gate = gated(init=True, lease="60s")
    gate.login("old").close()
    cluster.record(dbname, "new")
    until(lambda: gate.gate()["recorded"] == "new", "the notification", timeout=0.9)


CARRIERS = {
    "options": {"options": "-c headgate.head={}"},
    "options, two dashes": {"options": "--headgate.head={}"},
    "options among others": {"options": "-c work_mem=1MB -cheadgate.head={}  -c extra_float_digits=2"},
    "parameter": {"headgate.head": "{}"},
    "database": {"database": "app@{}"},
    "application_name": {"application_name": "worker 7 head={} x"},
}


@pytest.mark.parametrize("carrier", CARRIERS)
def test_carriers(cluster, dbname, gated, carrier):
    gate = gated()
    gate.until_recorded("old")

    def login(head):
        parameters = {name: value.format(head) for name, value in CARRIERS[carrier].items()}
        return gate.wire().login(**merge({"user": "u_trust", "database": "app"}, parameters))

    with login("old") as client:
        assert client.query("SELECT current_database(), current_setting('headgate.head', true)") == [[dbname, None]]
        if "among others" in carrier:
            assert client.query("SELECT current_setting('work_mem'), current_setting('extra_float_digits')") == [["1MB", "2"]]
        row = gate.clients()[0]
        assert row["head"] == "old" and carrier.split(",")[0].split(" ")[0] == row["carrier"]
    check_detail(refusal(lambda: login("new")), declared="new", relation="ahead")


def test_carrier_listener(gated):
    ports = [place.port(), place.port()]
    gate = gated(config={"listen": [{"address": f"127.0.0.1:{ports[0]}", "head": "old"},
                                    {"address": f"127.0.0.1:{ports[1]}", "head": "new"}]})
    gate.until_recorded("old")
    Wire(("127.0.0.1", ports[0])).login().close()
    check_detail(refusal(lambda: Wire(("127.0.0.1", ports[1])).login()), declared="new")
    # what the client says itself comes first
    Wire(("127.0.0.1", ports[1])).login(options="-c headgate.head=old").close()


def test_forward_head(dbname, gated):
    gate = gated(forward_head=True)
    with gate.login("old") as client:
        assert client.query("SHOW headgate.head") == [["old"]]


def test_carriers_switched_off(dbname, gated):
    gate = gated(declare=["parameter"])
    gate.until_recorded("old")
    assert refusal(lambda: gate.login("old"))["C"] == "55000"
    gate.wire().login(**{"headgate.head": "old"}).close()
    # the suffix belongs to the name when that carrier is off
    assert refusal(lambda: gate.wire().login(database="app@old", **{"headgate.head": "old"}))["C"] == "3D000"


@pytest.mark.parametrize("head", ["two words", "", "a" * 65, "a;b", "+", "a+", "'", "%s%n"])
def test_malformed_heads(gated, head):
    """Refused, told in its own words, and never on to the server."""
    gate = gated()
    gate.until_recorded("old")
    escaped = head.replace("\\", "\\\\").replace(" ", "\\ ")
    told = refusal(lambda: gate.wire().login(options=f"-c headgate.head={escaped}"))
    assert told["C"] == "55000", told


def test_star_section(cluster, dbname, gated):
    """Any other name is gated the same way, each by its own record."""
    from harness.headgate import Headgate, section

    other = cluster.database(dbname + "x", "new")
    star = section(cluster, "app")
    del star["upstream"]["dbname"]
    star["control"]["dsn"] = star["control"]["dsn"].replace("dbname=app", "dbname=postgres")
    with Headgate({"*": star}) as gate:
        gate.login("old", database=dbname).close()
        gate.login("new", database=other).close()
        check_detail(refusal(lambda: gate.login("new", database=dbname)), relation="ahead")
        assert refusal(lambda: gate.login("old", database="no_such_database"))["C"] == "3D000"
    cluster.sql(f'DROP DATABASE "{other}" WITH (FORCE)')
