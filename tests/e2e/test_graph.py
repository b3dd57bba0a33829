"""The published graph of migrations at the gate: who is accepted besides the recorded head, and who is ahead of it."""

import json

import pytest

from harness.wait import until
from harness.wire import Refused


def refusal(make):
    with pytest.raises(Refused) as refused:
        make()
    return refused.value.fields


def graph(line):
    """"a; b<a ~; c<a,b >x @left": < revises, > depends on, @ labels, ~ compatible."""
    revisions = []
    for one in line.split(";"):
        words = one.split()
        name, _, parents = words[0].partition("<")
        revisions.append({"revision": name, "parents": parents.split(",") if parents else [], "compatible": "~" in words,
                          "depends": [word[1:] for word in words if word[0] == ">"],
                          "labels": [word[1:] for word in words if word[0] == "@"]})
    return revisions


class Shop:
    """One database behind one proxy, and what a team does to it."""

    def __init__(self, cluster, dbname, gate):
        self.cluster, self.dbname, self.gate = cluster, dbname, gate

    def publication(self, line):
        return f"SELECT headgate.publish(NULL, '{json.dumps(graph(line))}')"

    def publish(self, line):
        serial = self.cluster.value(self.publication(line), self.dbname)
        until(lambda: self.gate.gate()["graph"].startswith(f"serial {serial},"), "the graph at the gate")

    def migrate(self, *heads):
        self.cluster.record(self.dbname, *heads)
        self.gate.until_recorded("+".join(sorted(heads)) if heads else "none")

    def serves(self, *heads):
        for head in heads:
            with self.gate.login(head) as client:
                assert client.query("SELECT 1") == [["1"]]

    def refuses(self, head, relation, accepted=None):
        told = refusal(lambda: self.gate.login(head))
        assert told["C"] == "55000" and f" relation={relation}" in told["D"], told
        assert accepted is None or f" accepted={accepted} " in told["D"], told
        return told


@pytest.fixture
def shop(cluster, dbname, gated):
    def make(**more):
        order = {"recorded": {"order": "none"}}
        return Shop(cluster, dbname, gated(init=True, **{**order, **more}))

    return make


LINE = "old; two<old ~; three<two ~; four<three; five<four ~"


def test_old_clients_live_on_through_compatible_migrations(shop):
    """The sessions themselves: not told anything while what is recorded moves on compatibly, and ended once it breaks them."""
    shop = shop()
    shop.publish(LINE)
    assert shop.gate.gate()["accepted"] == "old"
    live = shop.gate.login("old")
    shop.migrate("two")
    shop.migrate("three")
    assert shop.gate.gate()["accepted"] == "three, two, old"
    assert live.query("SELECT 1") == [["1"]]
    assert live.nothing(0.1)
    shop.serves("old", "two", "three")
    shop.refuses("five", "ahead", "three,two,old")
    shop.migrate("four")
    told = live.fatal()
    assert told["C"] == "57P01" and "accepted=four relation=behind" in told["D"], told
    shop.refuses("three", "behind", "four")
    shop.migrate("five")
    shop.serves("four", "five")
    shop.refuses("three", "behind", "five,four")


def test_exact_and_windows(shop):
    shop = shop(accept="exact")
    shop.publish(LINE)
    shop.migrate("three")
    shop.refuses("two", "behind", "three")
    for window, accepted in ((1, ["three", "two"]), (2, ["three", "two", "old"])):
        shop.gate.config["databases"]["app"]["accept"] = {"window": window}
        shop.gate.write()
        shop.gate.reload()
        assert shop.gate.gate()["accepted"] == ", ".join(accepted)
        shop.serves(*accepted)
    shop.migrate("five")  # whatever is marked: a window counts
    shop.serves("four", "three")
    shop.refuses("two", "behind", "five,four,three")


def test_ahead_waits_or_is_refused(cluster, shop):
    shop = shop(ahead={"hold": "30s"})
    shop.publish(LINE)
    waiting = shop.gate.begin_login("five")
    until(lambda: any(row["state"] == "held" for row in shop.gate.clients()), "the held client")
    shop.migrate("two")
    shop.migrate("four")
    assert waiting.nothing(0.1)
    shop.refuses("nobody", "unknown")
    shop.migrate("five")
    waiting.finish_login()
    assert waiting.query("SELECT 1") == [["1"]]


def test_branches(shop):
    shop = shop()
    shop.publish("root; l1<root @left; l2<l1 ~; r1<root @right; r2<r1 ~; m<l2,r2 ~; n<m")
    shop.migrate("l2", "r2")
    assert shop.gate.gate()["accepted"].startswith("l2+r2, ")
    shop.serves("l2+r2", "r2+l2", "l1+r2", "l2+r1", "l1+r1")
    shop.refuses("l2", "behind")
    shop.refuses("root", "behind")
    shop.refuses("m", "ahead")
    shop.migrate("l2")
    shop.refuses("r2", "unknown")
    shop.refuses("l2+r1", "ahead")
    shop.serves("l2", "l1")
    shop.migrate("m")
    shop.serves("l2+r2", "l1+r1", "m")


def test_publication_under_live_clients(shop):
    """A graph comes, changes and goes under idle and busy sessions: each is asked again by it."""
    shop = shop(mode="enforce")
    shop.migrate("two")
    shop.refuses("old", "unknown", "two")
    busy = shop.gate.login("two")
    busy.query("BEGIN")
    shop.publish(LINE)
    idle = shop.gate.login("old")
    assert busy.query("SELECT 1") == [["1"]]
    # somebody takes the mark back: `two` breaks them after all
    shop.publish(LINE.replace("two<old ~", "two<old"))
    assert idle.fatal()["C"] == "57P01"
    assert busy.query("SELECT 1") == [["1"]]
    busy.query("COMMIT")
    assert busy.query("SELECT 1") == [["1"]]
    shop.refuses("old", "behind", "two")


def test_a_head_never_comes_before_its_graph(cluster, shop):
    """A release that brings its migration, marked compatible, in one transaction with its graph: no old client notices, however the
    proxy's reading falls. Every renewal reads: the lease is short, and nudges come on top."""
    shop = shop(lease="1s")
    line = "old"
    shop.publish(line)
    clients = [shop.gate.login("old") for _ in range(8)]
    for number in range(1, 41):
        line += f"; v{number}<{'old' if number == 1 else f'v{number - 1}'} ~"
        shop.cluster.sql(f"BEGIN; DELETE FROM alembic_version; INSERT INTO alembic_version VALUES ('v{number}'); "
                         f"{shop.publication(line)}; COMMIT", shop.dbname)
        for client in clients:
            assert client.query(f"SELECT {number}") == [[str(number)]]
    shop.gate.until_recorded("v40")
    for client in clients:
        assert client.query("SELECT 1") == [["1"]]
    assert "57P01" not in shop.gate.log(None)


@pytest.mark.parametrize("order", ["none", ["old", "two", "three", "four", "five", "six"]])
def test_a_wrong_graph_is_refused_and_told(cluster, shop, order):
    """The gate goes on as without a graph, says so, and takes the next right one."""
    shop = shop(recorded={"order": order})
    shop.publish(LINE)
    shop.migrate("three")
    shop.serves("old")
    size = shop.gate.log_size()
    shop.cluster.sql("BEGIN; UPDATE headgate.revision SET parents = '{five}' WHERE revision = 'old'; "
                     "UPDATE headgate.graph SET serial = serial + 1; COMMIT", shop.dbname)
    until(lambda: shop.gate.gate()["graph"].startswith("not used: "), "the refusal of the graph")
    assert "in a circle" in shop.gate.gate()["graph"] and shop.gate.gate()["gate"] == "open"
    assert shop.gate.log_from(size).count("the published graph of migrations is not used") == 1
    assert "the published graph is not used: " in shop.gate.run("status")[1]
    shop.serves("three")
    shop.refuses("old", "unknown" if order == "none" else "behind", "three")
    shop.publish(LINE)
    shop.serves("old")


def test_what_the_graph_does_not_have(shop):
    """The new release before its migration is published: placed by the order where there is one, and told what to do where not."""
    shop = shop()
    shop.publish(LINE)
    assert "headgate publish" in shop.refuses("six", "unknown")["H"]
    shop.gate.configure(databases={"app": {"recorded": {"order": ["old", "six"]}}})
    shop.gate.reload()
    shop.refuses("six", "ahead")
    # what is recorded is not in the graph: as without one
    shop.cluster.record(shop.dbname, "six")
    shop.gate.until_recorded("six")
    assert "without what is recorded" in shop.gate.gate()["graph"]
    shop.serves("six")
    shop.refuses("old", "behind", "six")
    shop.refuses("two", "unknown", "six")


def test_pins_beside_a_graph(shop):
    shop = shop()
    shop.publish(LINE)
    shop.migrate("four")
    shop.refuses("two", "behind")
    shop.cluster.sql("INSERT INTO headgate.pin (head, who) VALUES ('two', 'ann')", shop.dbname)
    until(lambda: shop.gate.gate()["accepted"] == "four, two", "the pin")
    shop.serves("two")
    shop.refuses("three", "behind", "four,two")


def test_a_run_turns_away_only_whom_it_cannot_serve(cluster, shop, tmp_path):
    """Row 3's exception by the graph: held are those that the start, the target or what lies between would serve."""
    shop = shop(ahead="reject")
    shop.publish(LINE + "; six<five")
    shop.migrate("two")
    done = tmp_path / "done"
    run = shop.gate.spawn("exec", "-d", "app", "--to", "five", "-m", "to five", "--", "sh", "-c",
                          f"until [ -e {done} ]; do sleep 0.02; done")
    try:
        until(lambda: shop.gate.gate()["run"], "the run at the gate")
        held = {head: shop.gate.begin_login(head) for head in ("old", "two", "three", "four", "five")}
        told = refusal(lambda: shop.gate.login("six"))
        assert told["C"] == "55000" and "however the migration ends" in told["M"], told
        assert "relation=ahead" in told["D"], told
        assert refusal(lambda: shop.gate.login("zzz"))["C"] == "55000"
        assert all(client.nothing(0.02) for client in held.values())
        cluster.record(shop.dbname, "five")
        done.touch()
        assert run.wait(60) == 0, run.stdout.read()
        for head, client in held.items():
            if head in ("four", "five"):
                client.finish_login()
                assert client.query("SELECT 1") == [["1"]]
            else:
                assert client.fatal()["C"] == "55000", head
    finally:
        done.touch()
        run.wait(60)
        run.stdout.close()


def test_two_proxies_and_a_late_one(cluster, dbname, gated):
    """Every proxy reads the graph by itself, one that starts later too."""
    gate = gated(init=True, recorded={"order": "none"})
    shop = Shop(cluster, dbname, gate)
    other = gated(recorded={"order": "none"})
    shop.publish(LINE)
    until(lambda: other.gate()["graph"].startswith("serial 1,"), "the graph at the other proxy")
    shop.migrate("two")
    third = gated(recorded={"order": "none"})
    third.until_recorded("two")
    assert third.gate()["graph"] == "serial 1, 5 revisions"
    for each in (gate, other, third):
        with each.login("old") as client:
            assert client.query("SELECT 1") == [["1"]]


def test_upgrade_publishes_and_old_clients_live_on(cluster, dbname, gated, tmp_path):
    """The whole way with headgate's own migrations: files, a run, and sessions that are held meanwhile and then live on or end, by
    what the migrations' authors wrote."""
    folder = tmp_path / "migrations"
    folder.mkdir()
    files = {
        "0001_shop.sql": "-- migrate:up\nCREATE TABLE shop (id int);\n-- migrate:down\nDROP TABLE shop;\n",
        "0002_note.sql": "-- migrate:up compatible\nALTER TABLE shop ADD note text;\n-- migrate:down\nALTER TABLE shop DROP note;\n",
        "0003_gone.sql": "-- migrate:up\nALTER TABLE shop DROP id;\n-- migrate:down\nALTER TABLE shop ADD id int;\n",
    }

    def write(*names):
        for name in names:
            (folder / name).write_text(files[name])

    gate = gated(init=True, recorded={"reader": "headgate", "schema": None, "order": "none"})
    write("0001_shop.sql")
    gate.run("upgrade", "-d", "app", "--dir", str(folder))
    gate.until_recorded("0001")
    live = gate.login("0001")
    write("0002_note.sql")
    assert "0002" in gate.run("upgrade", "-d", "app", "--dir", str(folder))[1]
    gate.until_recorded("0002")
    assert gate.gate()["accepted"] == "0002, 0001"
    assert live.query("SELECT 1") == [["1"]]
    gate.login("0001").close()
    write("0003_gone.sql")
    gate.run("upgrade", "-d", "app", "--dir", str(folder))
    assert live.fatal()["C"] == "57P01"
    assert refusal(lambda: gate.login("0002"))["C"] == "55000"
    gate.login("0003").close()
    gate.run("downgrade", "-1", "-d", "app", "--dir", str(folder))
    gate.until_recorded("0002")
    gate.login("0001").close()
    told = refusal(lambda: gate.login("0003"))
    assert "relation=ahead" in told["D"], told


def test_publish_tells_the_graph_of_another_tool(shop, tmp_path):
    """Alembic migrates, its versions/ folder tells the gate what came before what."""
    shop = shop(accept={"window": 1})
    folder = tmp_path / "versions"
    folder.mkdir()
    for name, down in (("old", None), ("two", "old"), ("three", "two")):
        (folder / f"{name}_x.py").write_text(f'"""{name}"""\nrevision = "{name}"\ndown_revision = {json.dumps(down).replace("null", "None")}\n'
                                             "\n\ndef upgrade():\n    pass\n\n\ndef downgrade():\n    pass\n")
    shop.migrate("two")
    shop.refuses("old", "unknown", "two")
    told = shop.gate.run("publish", "-d", "app", "--dir", str(folder))[1]
    assert "3 revisions" in told, told
    until(lambda: shop.gate.gate()["graph"] == "serial 1, 3 revisions", "the graph at the gate")
    shop.serves("two", "old")
    shop.refuses("three", "ahead", "two,old")
    shop.migrate("three")
    shop.refuses("old", "behind", "three,two")
