"""One run: `headgate exec` conducts an external command while every client is held, and the gate opens at what is recorded after it."""

import os
import signal

import pytest

from harness import place, wire
from harness.cluster import Cluster
from harness.wait import until
from harness.wire import Refused

PYTHON = "/usr/bin/python3"


def migrate(head, sleep=0):
    """A migration tool in one line: waits, then records the head, by nothing but libpq's environment."""
    return ["psql", "-X", "-v", "ON_ERROR_STOP=1", "-c", f"SELECT pg_sleep({sleep})", "-c",
            f"UPDATE alembic_version SET version_num = '{head}'"]


def runs(cluster, dbname):
    return cluster.sql("SELECT state, outcome, exit_status, reason, unresolved, output_tail FROM headgate.run ORDER BY run_id", dbname)


def started(cluster, dbname, state="running"):
    until(lambda: cluster.sql(f"SELECT 1 FROM headgate.run WHERE state = '{state}'", dbname), f"the run {state}")


def test_old_clients_are_served_held_and_turned_away(cluster, dbname, gated):
    """The main story. An old client works until the run; during it its query waits; after it the client is told 57P01, and 55000 when
    it comes again. A new client waits from before the run and is let in after it."""
    gate = gated(init=True, ahead={"hold": "60s"})
    old, idle = gate.login("old"), gate.login("old")
    new = gate.begin_login("new")
    assert old.query("SELECT 1") == [["1"]]
    conductor = gate.spawn("exec", "-d", "app", "-m", "rename a column", "--", *migrate("new", 1))
    started(cluster, dbname)
    old.send(wire.query("CREATE TABLE never (a int)"))
    assert old.nothing(0.3) and new.nothing(0.05)
    output, _ = conductor.communicate(timeout=30)
    assert conductor.returncode == 0, output
    for client in (old, idle):
        told = client.fatal()
        assert told["C"] == "57P01", told
    new.finish_login()
    assert new.query("SELECT 1") == [["1"]]
    with pytest.raises(Refused) as refused:
        gate.login("old")
    assert refused.value.code == "55000" and "relation=behind" in refused.value.fields["D"]
    assert cluster.value("SELECT to_regclass('never') IS NULL", dbname)
    row = runs(cluster, dbname)[-1]
    assert row[:5] == ("ended", "succeeded", 0, "rename a column", False), row
    assert "UPDATE 1" in row[5]
    who, source, target = cluster.sql("SELECT who, from_heads, to_heads FROM headgate.run", dbname)[0]
    assert who and source == ["old"] and target == ["new"]


def test_real_alembic(cluster, dbname, gated, tmp_path):
    """Debian's alembic, a project made by `alembic init`, conducted."""
    project = place.folder("alembic")
    gate = gated(init=True, ahead={"hold": "60s"}, recorded={"order": ["old", "new"]})
    os.makedirs(f"{project}/alembic/versions")
    with open(f"{project}/alembic.ini", "w") as f:
        f.write("[alembic]\nscript_location = alembic\n")
    with open(f"{project}/alembic/env.py", "w") as f:
        f.write("from alembic import context\nfrom sqlalchemy import create_engine\nimport os\n"
                "with create_engine(os.environ['DATABASE_URL']).connect() as c:\n"
                "    context.configure(connection=c)\n    with context.begin_transaction():\n        context.run_migrations()\n")
    with open(f"{project}/alembic/script.py.mako", "w") as f:
        f.write("")
    for revision, down in (("old", None), ("new", "old")):
        with open(f"{project}/alembic/versions/{revision}.py", "w") as f:
            f.write(f"from alembic import op\nrevision = {revision!r}\ndown_revision = {down!r}\n"
                    f"def upgrade():\n    op.execute('CREATE TABLE made_by_{revision} (a int); GRANT ALL ON made_by_{revision} TO PUBLIC')\n"
                    f"def downgrade():\n    op.execute('DROP TABLE made_by_{revision}')\n")
    old, new = gate.login("old"), gate.begin_login("new")
    status, output = gate.run("exec", "-d", "app", "-m", "alembic", "--", "alembic", "upgrade", "head", cwd=project, check=False)
    assert status == 0, output + gate.log()
    assert old.fatal()["C"] == "57P01"
    new.finish_login()
    assert new.query("SELECT count(*) FROM made_by_new") == [["0"]]


def test_nothing_runs_between_the_first_statement_and_the_release(cluster, dbname, gated):
    """The command looks around: no other transaction is open in this database, and none begins."""
    gate = gated(init=True)
    cluster.sql("CREATE TABLE seen (n int); GRANT ALL ON seen TO PUBLIC", dbname)
    clients = [gate.login("old") for _ in range(8)]
    script = ("import os, time, psycopg2\nc = psycopg2.connect('')\nc.autocommit = True\nq = c.cursor()\nworst = 0\n"
              "end = time.time() + 1\nwhile time.time() < end:\n"
              "    q.execute(\"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
              " AND usename = 'u_trust' AND (state <> 'idle' OR query_start > now() - interval '0.2s' + interval '0s')"
              " AND state <> 'idle'\")\n    worst = max(worst, q.fetchone()[0])\n    time.sleep(0.01)\n"
              "q.execute('INSERT INTO seen VALUES (%s)', (worst,))\n")
    conductor = gate.spawn("exec", "-d", "app", "-m", "a test", "--", PYTHON, "-c", script)
    started(cluster, dbname)
    for client in clients:
        client.send(wire.query("SELECT pg_sleep(0.05)"))
    output, _ = conductor.communicate(timeout=30)
    assert conductor.returncode == 0, output
    assert cluster.sql("SELECT n FROM seen", dbname) == [(0,)]
    for client in clients:
        assert client.answer() is not None


def test_a_busy_transaction_is_waited_for(cluster, dbname, gated):
    gate = gated(init=True, drain={"timeout": "20s"})
    busy = gate.login("old")
    busy.query("BEGIN")
    conductor = gate.spawn("exec", "-d", "app", "-m", "a test", "--", *migrate("old"))
    started(cluster, dbname, "draining")
    until(lambda: gate.gate()["gate"] == "draining", lambda: f"draining: {gate.gate()}")
    assert conductor.poll() is None
    busy.query("COMMIT")
    output, _ = conductor.communicate(timeout=30)
    assert conductor.returncode == 0, output
    assert busy.query("SELECT 1") == [["1"]]


def test_a_replica_that_is_behind_refuses_where_asked(cluster, dbname, gated):
    """--max-replica-lag: nobody is held for a run that replicas could not follow; it is not asked by itself."""
    if not os.path.exists(f"{place.pg_bin()}/pg_basebackup"):
        pytest.skip(f"no pg_basebackup in {place.pg_bin()}: no standby of this version can be made")
    gate = gated(init=True)
    client = gate.login("old")

    def conduct(*more):
        return gate.run("exec", "-d", "app", "-m", "a test", *more, "--", *migrate("old"), check=False)

    with Cluster(standby_of=cluster) as standby:
        cluster.sql("CREATE TABLE written (n int)", dbname)

        def lag():
            cluster.sql("INSERT INTO written VALUES (1)", dbname)
            rows = cluster.sql("SELECT COALESCE(extract(epoch FROM replay_lag), 0) FROM pg_stat_replication WHERE state = 'streaming'")
            return float(rows[0][0]) if rows else None

        until(lambda: lag() is not None and standby.sql("SELECT n FROM written", dbname), "the standby following")
        standby.sql("SELECT pg_wal_replay_pause()")
        until(lambda: (lag() or 0) > 0.5, "the standby behind")
        status, output = conduct("--max-replica-lag", "200ms")
        assert status == 1 and "refused: 1 replica is more than 200ms behind; nobody was held" in output, output
        assert "a replica is behind: walreceiver, streaming, " in output and "or allow more with --max-replica-lag" in output, output
        assert cluster.value("SELECT count(*) FROM headgate.run", dbname) == 0
        assert conduct("--max-replica-lag", "1h")[0] == 0 and conduct()[0] == 0
        standby.sql("SELECT pg_wal_replay_resume()")
        until(lambda: (lag() or 0) < 0.2 and standby.value("SELECT count(*) FROM written", dbname) > 1, "the standby following again")
        status, output = conduct("--max-replica-lag", "10s")
        assert status == 0, output
    assert client.query("SELECT 1") == [["1"]]


def test_a_drain_that_does_not_end_is_given_up(cluster, dbname, gated):
    """drain.timeout, attempts: the command never runs, everybody goes on, and the run is in the ledger as given up."""
    gate = gated(init=True, drain={"timeout": "300ms", "attempts": 2, "pause": "100ms"})
    busy, idle = gate.login("old"), gate.login("old")
    busy.query("BEGIN")
    proxy = cluster.sql("SELECT name FROM headgate.proxy", dbname)[0][0]
    status, output = gate.run("exec", "-d", "app", "-m", "a test", "--", *migrate("new"), check=False)
    assert status != 0, output
    for word in ("in the way: ", "End those transactions", "--on-timeout cancel or terminate", "longer --drain-timeout",
                 f"Not acknowledged by {proxy}", "mode observe never drains"):
        assert word in output, output
    assert cluster.sql("SELECT version_num FROM alembic_version", dbname) == [("old",)]
    assert idle.query("SELECT 1") == [["1"]] and busy.query("SELECT 1") == [["1"]]
    assert runs(cluster, dbname)[-1][1] == "gave_up"


def test_a_proxy_that_never_drains_is_named(cluster, dbname, gated):
    """It serves in mode observe, while the run was ordered with a file that says enforce."""
    gate = gated(init=True, mode="observe")
    gate.until_recorded("old")
    gate.configure(databases={"app": {"mode": "enforce", "drain": {"timeout": "300ms", "attempts": 1}}})
    proxy = until(lambda: cluster.sql("SELECT name FROM headgate.proxy", dbname), "the proxy in the ledger")[0][0]
    status, output = gate.run("exec", "-d", "app", "-m", "a test", "--", *migrate("new"), check=False)
    assert status == 1, output
    assert "no client is at work" in output and f"See what keeps {proxy}: a proxy in mode observe never drains" in output, output


def test_exit_status_is_the_commands(cluster, dbname, gated):
    """A failing command: its status, its output, and the gate at what is really recorded."""
    gate = gated(init=True)
    client = gate.login("old")
    status, output = gate.run("exec", "-d", "app", "-m", "a test", "--", "sh", "-c", "echo going wrong; exit 42", check=False)
    assert status == 42 and "going wrong" in output
    row = runs(cluster, dbname)[-1]
    assert row[:3] == ("ended", "failed", 42) and "going wrong" in row[5]
    assert gate.gate()["recorded"] == "old"
    if not row[4]:
        assert client.query("SELECT 'still here'") == [["still here"]]


def test_a_command_that_fails_half_way(cluster, dbname, gated):
    """It recorded the new head and then failed: what counts is what is recorded."""
    gate = gated(init=True)
    status, _ = gate.run("exec", "-d", "app", "-m", "a test", "--", "sh", "-c",
                         "psql -X -c \"UPDATE alembic_version SET version_num = 'new'\" && exit 3", check=False)
    assert status == 3
    gate.until_recorded("new")


def test_command_not_found(cluster, dbname, gated):
    gate = gated(init=True)
    status, output = gate.run("exec", "-d", "app", "-m", "a test", "--", "/no/such/program", check=False)
    assert status == 127, output
    with gate.login("old") as client:
        assert client.query("SELECT 1") == [["1"]]


def test_no_shell_and_the_environment(cluster, dbname, gated):
    gate = gated(init=True)
    status, output = gate.run("exec", "-d", "app", "-m", "a test", "--", PYTHON, "-c",
                              "import os, sys; print(sys.argv[1]); print(os.environ['PGDATABASE'], os.environ['PGPORT']); "
                              "print(os.environ['DATABASE_URL']); print(os.getpgrp() == os.getpid())", "$(echo no) `shell` ;")
    assert status == 0
    assert "$(echo no) `shell` ;" in output and f"{dbname} {cluster.port}" in output and "postgresql://" in output


def test_killed_coordinator_while_draining(cluster, dbname, gated):
    """Its lock goes with its connection; a proxy marks the run abandoned; gates reopen at the recorded version."""
    gate = gated(init=True, drain={"timeout": "25s"})
    busy, idle = gate.login("old"), gate.login("old")
    busy.query("BEGIN")
    conductor = gate.spawn("exec", "-d", "app", "-m", "a test", "--", *migrate("new"))
    started(cluster, dbname, "draining")
    until(lambda: gate.gate()["gate"] == "draining", "the proxy draining")
    idle.send(wire.query("SELECT 'freed'"))
    assert idle.nothing(0.2)
    conductor.kill()
    conductor.wait()
    assert idle.answer() == [["freed"]]
    until(lambda: runs(cluster, dbname)[-1][1] == "abandoned", lambda: f"abandoned: {runs(cluster, dbname)}")
    busy.query("COMMIT")


def test_killed_coordinator_with_the_command_running(cluster, dbname, gated):
    """The command is killed with it, the run is marked failed, and the gate stays shut until somebody resolves it."""
    gate = gated(init=True, on_failed="reject")
    client = gate.login("old")
    mark = os.path.join(place.folder("mark"), "pid")
    conductor = gate.spawn("exec", "-d", "app", "-m", "a test", "--", "sh", "-c", f"echo $$ > {mark}; sleep 300")
    pid = int(until(lambda: os.path.exists(mark) and open(mark).read().strip(), "the command's pid"))
    conductor.kill()
    conductor.wait()
    until(lambda: not os.path.exists(f"/proc/{pid}"), "the command killed with its coordinator")
    until(lambda: runs(cluster, dbname)[-1][:2] == ("ended", "failed"), lambda: f"failed: {runs(cluster, dbname)}")
    until(lambda: gate.gate()["gate"] == "shut" or "fail" in str(gate.gate()), lambda: f"shut: {gate.gate()}")
    assert client.fatal()["C"] in ("57P01", "55000")
    with pytest.raises(Refused) as refused:
        gate.login("old")
    assert refused.value.code == "55000"
    run = cluster.sql("SELECT run_id, who FROM headgate.run", dbname)[0]
    told = refused.value.fields["M"]
    assert told.startswith(f'database "app" is closed: run {run[0]} (exec, by {run[1]}, ') and told.count("left half way") == 1, told
    assert "headgate resolve" in refused.value.fields["H"]
    assert "headgate resolve" in str(gate.gate())


def test_interrupted_coordinator(cluster, dbname, gated):
    """Ctrl-C: the command gets its chance to end, nothing is left behind, clients go on."""
    gate = gated(init=True)
    mark = os.path.join(place.folder("mark"), "pid")
    conductor = gate.spawn("exec", "-d", "app", "-m", "a test", "--", "sh", "-c", f"echo $$ > {mark}; sleep 300")
    pid = int(until(lambda: os.path.exists(mark) and open(mark).read().strip(), "the command's pid"))
    os.killpg(conductor.pid, signal.SIGINT)
    conductor.communicate(timeout=30)
    assert conductor.returncode != 0
    until(lambda: not os.path.exists(f"/proc/{pid}"), "the command gone")
    until(lambda: runs(cluster, dbname)[-1][0] == "ended", "the run ended")


def test_one_run_at_a_time(cluster, dbname, gated):
    """A second asker does not run its command beside the first: it attaches, or says who has it."""
    gate = gated(init=True)
    first = gate.spawn("exec", "-d", "app", "-m", "the first", "--", *migrate("new", 2))
    started(cluster, dbname)
    status, output = gate.run("exec", "-d", "app", "-m", "the second", "--", *migrate("newest"), check=False)
    text, _ = first.communicate(timeout=30)
    assert first.returncode == 0, text
    overlapping = cluster.value("SELECT count(*) FROM headgate.run a JOIN headgate.run b ON a.run_id < b.run_id AND"
                                " b.running_at < a.ended_at", dbname)
    assert overlapping == 0
    if status != 0:
        assert "first" in output or "run" in output
        assert cluster.sql("SELECT version_num FROM alembic_version", dbname) == [("new",)]


def test_a_frozen_proxy_does_not_let_anybody_through(cluster, dbname, gated):
    """The proxy stalls with a lease running: the coordinator waits for the lease's end, not for ever; and when the proxy wakes after
    the migration, its clients are asked again before anything of theirs reaches the server."""
    gate = gated(init=True, lease="2s", drain={"timeout": "20s"})
    client = gate.login("old")
    gate.freeze()
    try:
        status, output = gate.run("exec", "-d", "app", "-m", "a test", "--", *migrate("new"), check=False, timeout=60)
        client.send(wire.query("CREATE TABLE never (a int)"))
    finally:
        gate.thaw()
    if status == 0:
        told = client.fatal()
        assert told["C"] in ("57P01", "08006"), told
    assert cluster.value("SELECT to_regclass('never') IS NULL", dbname)


def test_precheck_refuses_before_disturbing_anyone(cluster, dbname, gated):
    """A prepared transaction would outlive every drain: said before anybody is held."""
    gate = gated(init=True)
    cluster.sql("CREATE TABLE p (a int)", dbname)
    cluster.sql("BEGIN; INSERT INTO p VALUES (1); PREPARE TRANSACTION 'left over'", dbname)
    try:
        status, output = gate.run("exec", "-d", "app", "-m", "a test", "--", *migrate("new"), check=False)
        assert status != 0 and "prepared" in output.lower(), output
        assert cluster.sql("SELECT version_num FROM alembic_version", dbname) == [("old",)]
    finally:
        cluster.sql("ROLLBACK PREPARED 'left over'", dbname)


def test_two_proxies_hold_together(cluster, dbname, gated):
    """Both are asked, both are waited for, and both let go."""
    one, two = gated(init=True), gated()
    for gate in (one, two):
        gate.until_recorded("old")
    until(lambda: len(cluster.sql("SELECT 1 FROM headgate.proxy", dbname)) == 2, "two registered proxies")
    busy, idle = one.login("old"), two.login("old")
    busy.query("BEGIN")
    conductor = one.spawn("exec", "-d", "app", "-m", "both", "--", *migrate("new"))
    until(lambda: two.gate()["gate"] == "holding", "the other proxy holding")
    idle.send(wire.query("SELECT 1"))
    assert idle.nothing(0.3) and cluster.sql("SELECT state FROM headgate.run", dbname) == [("draining",)]
    busy.query("COMMIT")
    output, _ = conductor.communicate(timeout=30)
    assert conductor.returncode == 0 and "2 of 2 proxies" in output, output
    for client in (busy, idle):
        with pytest.raises(Refused) as refused:
            client.query("SELECT 2") if client is busy else client.answer()
        assert refused.value.code == "57P01"
    for gate in (one, two):
        with gate.login("new") as client:
            assert client.query("SELECT 1") == [["1"]]


def test_a_stalled_proxy_is_waited_for_and_fenced(cluster, dbname, gated):
    """It cannot be asked: its lease is waited for, then its backends are ended, its open transaction with them."""
    one, two = gated(init=True, lease="1s", drain={"timeout": "20s"}), gated(lease="1s")
    for gate in (one, two):
        gate.until_recorded("old")
    until(lambda: len(cluster.sql("SELECT 1 FROM headgate.proxy", dbname)) == 2, "two registered proxies")
    cluster.sql("CREATE TABLE written (n int); GRANT ALL ON written TO PUBLIC", dbname)
    lost = two.login("old")
    lost.query("BEGIN")
    lost.query("INSERT INTO written VALUES (1)")
    two.process.send_signal(signal.SIGSTOP)
    tasks = f"/proc/{two.process.pid}/task"
    until(lambda: all(open(f"{tasks}/{task}/stat").read().rsplit(")", 1)[1].split()[0] == "T" for task in os.listdir(tasks)), "all threads stopped")
    try:
        lost.send(wire.query("COMMIT"))  # waits in the stalled proxy's socket
        status, output = one.run("exec", "-d", "app", "-m", "without the other", "--", *migrate("new"))
        assert status == 0, output
    finally:
        two.process.send_signal(signal.SIGCONT)
    with pytest.raises((Refused, wire.Closed)):
        lost.answer()
    assert cluster.sql("SELECT n FROM written", dbname) == []
    two.until_recorded("new")
    with two.login("new") as client:
        assert client.query("SELECT 1") == [["1"]]


def test_in_mode_observe_nobody_is_disturbed(cluster, dbname, gated):
    """The command is conducted and recorded beside the traffic; a transaction that is open stays open."""
    gate = gated(init=True, mode="observe")
    gate.until_recorded("old")
    busy, idle = gate.login("old"), gate.login("old")
    busy.query("BEGIN")
    mark = os.path.join(place.folder("observe"), "go")
    conductor = gate.spawn("exec", "-d", "app", "-m", "watched", "--", "sh", "-c", f"until [ -e {mark} ]; do sleep 0.05; done; "
                           "psql -qXc \"UPDATE alembic_version SET version_num = 'new'\"")
    started(cluster, dbname)
    assert idle.query("SELECT 1") == [["1"]] and busy.query("SELECT 2") == [["2"]]
    open(mark, "w").close()
    output, _ = conductor.communicate(timeout=30)
    assert conductor.returncode == 0 and "nobody is held" in output, output
    assert busy.query("COMMIT") is not None and idle.query("SELECT 3") == [["3"]]
    assert runs(cluster, dbname)[-1][1] == "succeeded"


def test_a_new_ledger_is_given_time(cluster, dbname, gated):
    """A proxy that was serving before `headgate init` cannot be asked to drain until it has found the ledger: exec waits for that long,
    holding nobody."""
    gate = gated(lease="1s")
    gate.until_recorded("old")
    client = gate.login("old")
    gate.run("init", "-d", "app")
    command = ["psql", "-qXc", "UPDATE alembic_version SET version_num = 'new'"]
    _, output = gate.run("exec", "-d", "app", "-m", "the first", "--", *command)
    assert "the ledger is new: waiting" in output
    assert "1 of 1" in output  # it was registered, and asked
    client.close()


def test_without_init_it_says_what_to_do(cluster, dbname, gated):
    gate = gated()
    status, output = gate.run("exec", "-d", "app", "-m", "a test", "--", *migrate("new"), check=False)
    assert status != 0 and "headgate init" in output, output
    assert cluster.sql("SELECT version_num FROM alembic_version", dbname) == [("old",)]


def test_init_prints_its_sql_and_is_idempotent(cluster, dbname, gated):
    gate = gated()
    _, printed = gate.run("init", "-d", "app", "--print")
    assert "CREATE SCHEMA headgate" in printed and "GRANT" in printed.upper()
    gate.run("init", "-d", "app")
    gate.run("init", "-d", "app")
    assert cluster.value("SELECT count(*) FROM headgate.version", dbname) >= 1


def test_hold_and_release_from_the_command_line(gated):
    """`headgate hold` holds as long as it runs (its owner is its connection) or detached; `headgate release` ends it."""
    gate = gated()
    client = gate.login("old")
    holder = gate.spawn("hold", "-d", "app", "--reason", "by hand")
    until(lambda: gate.gate()["gate"] == "holding", lambda: f"holding: {gate.gate()}")
    client.send(wire.query("SELECT 'freed'"))
    assert client.nothing(0.1)
    holder.send_signal(signal.SIGINT)
    holder.communicate(timeout=20)
    assert client.answer() == [["freed"]]


def test_status(gated):
    import json

    gate = gated()
    gate.until_recorded("old")
    gate.login("old").close()
    _, text = gate.run("status")
    assert "app" in text and "old" in text
    _, text = gate.run("status", "--json")
    assert "app" in json.dumps(json.loads(text))
