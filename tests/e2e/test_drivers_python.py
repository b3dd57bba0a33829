"""psycopg 3, psycopg2 and asyncpg behave through the proxy as they do directly."""

import asyncio
import io
import threading
import time

import pytest

from harness.certs import certs
from harness.routes import LEGS, USERS, Routes


@pytest.fixture(scope="module")
def routes(cluster):
    with Routes(cluster) as running:
        yield running


# psycopg2


def psycopg2_body(route):
    import psycopg2
    import psycopg2.extras

    seen = []
    connection = psycopg2.connect(**route.libpq(application_name="p2"))
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::int + 1, %s, NULL, %s::numeric[]", (41, "ünï", [1, 2]))
        seen.append(cursor.fetchall())
        cursor.execute("CREATE TEMP TABLE t (a int, b text)")
        psycopg2.extras.execute_values(cursor, "INSERT INTO t VALUES %s", [(i, "x" * i) for i in range(500)])
        cursor.copy_expert("COPY t FROM STDIN", io.StringIO("".join(f"{i}\tcopied\n" for i in range(1000, 30000))))
        out = io.StringIO()
        cursor.copy_expert("COPY (SELECT * FROM t ORDER BY a) TO STDOUT", out)
        seen.append((len(out.getvalue()), hash(out.getvalue()) == hash(out.getvalue())))
        cursor.execute("DO $$BEGIN RAISE NOTICE 'told'; END$$")
        seen.append(list(connection.notices))
    connection.commit()
    for bad in ("SELECT 1/0", "SELEC", "COPY t FROM STDIN"):
        try:
            with connection.cursor() as cursor:
                if bad.startswith("COPY"):
                    cursor.copy_expert(bad, io.StringIO("not a number\tx\n" * 1000))
                else:
                    cursor.execute(bad)
        except psycopg2.Error as error:
            seen.append((type(error).__name__, error.pgcode))
        connection.rollback()
    with connection.cursor("named") as cursor:
        cursor.itersize = 7
        cursor.execute("SELECT generate_series(1, 50)")
        seen.append([row[0] for row in cursor])
    connection.commit()
    lob = connection.lobject(0, "wb")
    lob.write(b"\0\1\2" * 10000)
    lob.close()
    lob = connection.lobject(lob.oid, "rb")
    seen.append(len(lob.read()))
    lob.unlink()
    connection.commit()
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("LISTEN c; NOTIFY c, 'payload'")
        connection.poll()
        seen.append([n.payload for n in connection.notifies])
        timer = threading.Timer(0.3, connection.cancel)
        timer.start()
        try:
            cursor.execute("SELECT pg_sleep(30)")
        except psycopg2.Error as error:
            seen.append(error.pgcode)
        timer.join()
        cursor.execute("SELECT 'alive'")
        seen.append(cursor.fetchone())
    connection.close()
    return seen


def test_psycopg2(routes):
    pytest.importorskip("psycopg2")
    assert "57014" in routes.compare(psycopg2_body)


def test_psycopg2_two_phase(routes):
    psycopg2 = pytest.importorskip("psycopg2")

    def body(route):
        connection = psycopg2.connect(**route.libpq())
        connection.tpc_begin(connection.xid(1, "gtrid", "bqual"))
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE two_phase (a int)")
        connection.tpc_prepare()
        connection.tpc_rollback()
        connection.close()
        return "rolled back"

    routes.compare(body)


# psycopg 3


def psycopg3_body(route):
    import psycopg

    seen, notices = [], []
    with psycopg.connect(**route.libpq(), prepare_threshold=2) as connection:
        connection.add_notice_handler(lambda diagnostic: notices.append(diagnostic.message_primary))
        for _ in range(6):
            seen.append(connection.execute("SELECT %s::int, %b::text", (5, "bin")).fetchone())
        connection.execute("CREATE TEMP TABLE t (a int, b text)")
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO t VALUES (%s, %s)", [(i, "y" * i) for i in range(300)])
            with cursor.copy("COPY t FROM STDIN (FORMAT BINARY)") as copy:
                copy.set_types(["int4", "text"])
                for i in range(5000):
                    copy.write_row((i, "row"))
            with cursor.copy("COPY (SELECT * FROM t ORDER BY a, b) TO STDOUT") as copy:
                seen.append(sum(len(bytes(data)) for data in copy))
        with pytest.raises(psycopg.DataError), connection.cursor() as cursor:
            with cursor.copy("COPY t FROM STDIN") as copy:
                copy.write("nonsense\n" * 20000)
        connection.rollback()
        with pytest.raises((psycopg.errors.QueryCanceled, RuntimeError)), connection.cursor() as cursor:  # from 3.2 on our own
            connection.execute("CREATE TEMP TABLE u (a int)")
            with cursor.copy("COPY u FROM STDIN") as copy:
                copy.write("1\n")
                raise RuntimeError("the client changes its mind")
        connection.rollback()
        connection.execute("DO $$BEGIN RAISE NOTICE 'told'; END$$")
        seen.append(list(notices))
        with connection.transaction():
            try:
                with connection.transaction():
                    connection.execute("SELECT 1/0")
            except psycopg.Error as error:
                seen.append(error.sqlstate)
            seen.append(connection.execute("SELECT 'in savepoint'").fetchone())
        seen.append([row[0] for row in connection.cursor("server side").execute("SELECT generate_series(1, 30)")])
        connection.commit()
    return seen


def test_psycopg3(routes):
    pytest.importorskip("psycopg")
    routes.compare(psycopg3_body)


def test_psycopg3_pipeline(routes):
    """Batches with errors in the middle, Flush without Sync, and a batch of a thousand."""
    psycopg = pytest.importorskip("psycopg")

    def body(route):
        seen = []
        with psycopg.connect(**route.libpq(), autocommit=True) as connection:
            with connection.pipeline():
                cursors = [connection.execute("SELECT %s::int", (i,)) for i in range(1000)]
                seen.append(sum(c.fetchone()[0] for c in cursors))
            with connection.pipeline() as pipeline:
                cursors = [connection.execute("SELECT 'before'")]
                pipeline.sync()
                # where the driver hears of the error is a matter of time; what became of the statements is not
                for statement in ("SELECT 1/0", "SELECT 'lost'"):
                    try:
                        cursors.append(connection.execute(statement))
                    except psycopg.Error as error:
                        assert error.sqlstate in ("22012", None), error
                try:
                    pipeline.sync()
                except psycopg.Error:
                    pass
                seen.append(cursors[0].fetchone())
                for cursor in cursors[1:]:
                    try:
                        raise AssertionError(cursor.fetchone())
                    except psycopg.Error:
                        pass
                after = connection.execute("SELECT 'after'")
                seen.append(after.fetchone())
            seen.append(connection.info.transaction_status.name)
        return seen

    routes.compare(body)


def test_psycopg3_notify_and_cancel(routes):
    psycopg = pytest.importorskip("psycopg")

    def body(route):
        seen = []
        with psycopg.connect(**route.libpq(), autocommit=True) as listener, \
                psycopg.connect(**route.libpq(), autocommit=True) as speaker:
            listener.execute("LISTEN channel")
            for i in range(3):
                speaker.execute("SELECT pg_notify('channel', %s)", (str(i),))
            for notify in listener.notifies():
                seen.append(notify.payload)
                if len(seen) == 3:
                    break
            timer = threading.Timer(0.3, listener.cancel)
            timer.start()
            try:
                listener.execute("SELECT pg_sleep(30)")
            except psycopg.Error as error:
                seen.append(error.sqlstate)
            timer.join()
            seen.append(listener.execute("SELECT 'alive'").fetchone())
        return seen

    assert "57014" in routes.compare(body)


def test_psycopg3_async(routes):
    psycopg = pytest.importorskip("psycopg")

    def body(route):
        async def talk():
            connections = [await psycopg.AsyncConnection.connect(**route.libpq(), autocommit=True) for _ in range(10)]
            async def one(number, connection):
                cursor = await connection.execute("SELECT %s::int, pg_sleep(0.01)", (number,))
                return (await cursor.fetchone())[0]
            answers = await asyncio.gather(*(one(n, c) for n, c in enumerate(connections)))
            for connection in connections:
                await connection.close()
            return answers

        return asyncio.run(talk())

    routes.compare(body)


# asyncpg


def asyncpg_parameters(route):
    import ssl

    parameters = dict(host=route.host, port=route.port, database=route.dbname, user=route.user, password=route.password or None,
                      server_settings={"headgate.head": "old", "application_name": "apg"}, timeout=20)
    parameters["ssl"] = False if route.sslmode == "disable" else ssl.create_default_context(cafile=certs().ca)
    return parameters


def asyncpg_body(route):
    import asyncpg

    async def talk():
        seen = []
        connection = await asyncpg.connect(**asyncpg_parameters(route))
        seen.append([tuple(r) for r in await connection.fetch("SELECT $1::int + 1, $2::text[]", 41, ["a", "b"])])
        await connection.execute("CREATE TEMP TABLE t (a int, b text)")
        await connection.executemany("INSERT INTO t VALUES ($1, $2)", [(i, "z" * i) for i in range(300)])
        seen.append(await connection.copy_records_to_table("t", records=[(i, "copied") for i in range(5000)]))
        out = io.BytesIO()
        seen.append(await connection.copy_from_query("SELECT * FROM t ORDER BY a, b", output=out))
        seen.append(len(out.getvalue()))
        try:
            await connection.copy_to_table("t", source=io.BytesIO(b"nonsense\n" * 50000))
        except asyncpg.PostgresError as error:
            seen.append(error.sqlstate)
        try:
            async with connection.transaction():
                await connection.execute("SELECT 1/0")
        except asyncpg.PostgresError as error:
            seen.append(error.sqlstate)
        async with connection.transaction():
            seen.append([r[0] async for r in connection.cursor("SELECT generate_series(1, 20)", prefetch=3)])
        heard = asyncio.Queue()
        await connection.add_listener("channel", lambda c, pid, channel, payload: heard.put_nowait(payload))
        await connection.execute("NOTIFY channel, 'payload'")
        seen.append(await asyncio.wait_for(heard.get(), 10))
        logs = []
        connection.add_log_listener(lambda c, message: logs.append(message.message))
        await connection.execute("DO $$BEGIN RAISE NOTICE 'told'; END$$")
        await asyncio.sleep(0)
        seen.append(logs)
        try:  # cancels by CancelRequest on a connection of its own
            await connection.fetch("SELECT pg_sleep(30)", timeout=0.3)
        except asyncio.TimeoutError:
            seen.append("timed out")
        seen.append(await connection.fetchval("SELECT 'alive'"))
        await connection.close(timeout=10)
        return seen

    return asyncio.run(talk())


def test_asyncpg(routes):
    pytest.importorskip("asyncpg")
    assert "alive" in routes.compare(asyncpg_body)


def test_asyncpg_pool(routes):
    asyncpg = pytest.importorskip("asyncpg")

    async def talk(route):
        async with asyncpg.create_pool(**asyncpg_parameters(route), min_size=2, max_size=8) as pool:
            return await asyncio.gather(*(pool.fetchval("SELECT $1::int", n) for n in range(200)))

    routes.compare(lambda route: asyncio.run(talk(route)))


# every leg, every way to authenticate


def first_words(driver, route):
    sql = "SELECT session_user::text"
    if driver == "asyncpg":
        import asyncpg

        async def talk():
            connection = await asyncpg.connect(**asyncpg_parameters(route))
            try:
                return await connection.fetchval(sql)
            finally:
                await connection.close(timeout=10)

        return asyncio.run(talk())
    module = __import__(driver)
    connection = module.connect(**route.libpq())
    try:
        cursor = connection.cursor()
        cursor.execute(sql)
        return cursor.fetchone()[0]
    finally:
        connection.close()


@pytest.mark.parametrize("driver", ["psycopg2", "psycopg", "asyncpg"])
@pytest.mark.parametrize("leg", LEGS)
@pytest.mark.parametrize("auth", USERS)
def test_every_leg_and_authentication(routes, driver, leg, auth):
    pytest.importorskip(driver)
    assert first_words(driver, routes.through(auth, leg)) == USERS[auth][0]


@pytest.mark.parametrize("driver", ["psycopg2", "psycopg", "asyncpg"])
@pytest.mark.parametrize("auth", ["md5", "scram"])
def test_a_wrong_password(routes, driver, auth):
    pytest.importorskip(driver)

    def body(route):
        route.password = "wrong"
        try:
            first_words(driver, route)
        except Exception as error:  # noqa: BLE001: each driver has its own
            return type(error).__name__, getattr(error, "sqlstate", None)
        return "let in"

    assert routes.compare(body, auth=auth) != "let in"


def test_connections_come_and_go(routes):
    psycopg2 = pytest.importorskip("psycopg2")
    route = routes.through()
    with routes.gate.no_leak():
        began = time.monotonic()
        for number in range(200):
            connection = psycopg2.connect(**route.libpq())
            cursor = connection.cursor()
            cursor.execute("SELECT %s", (number,))
            assert cursor.fetchone() == (number,)
            connection.close()
        print(f"200 connections in {time.monotonic() - began:.2f} s")
