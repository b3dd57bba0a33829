"""`login.py MODULE`: psycopg, psycopg2 or asyncpg says who it is, or what it was told. Reads libpq's environment."""

import asyncio
import importlib
import os
import sys

name = sys.argv[1]
driver = importlib.import_module(name)


def ask():
    connection = driver.connect("")
    try:
        cursor = connection.cursor()
        cursor.execute("SELECT session_user::text")
        return cursor.fetchone()[0]
    finally:
        connection.close()


async def ask_asyncpg():
    head = os.environ["PGOPTIONS"].removeprefix("-c headgate.head=")
    connection = await driver.connect(server_settings={"headgate.head": head})
    try:
        return await connection.fetchval("SELECT session_user::text")
    finally:
        await connection.close(timeout=10)


try:
    print(asyncio.run(ask_asyncpg()) if name == "asyncpg" else ask())
except Exception as error:  # noqa: BLE001: each driver has its own
    print("failed", getattr(error, "sqlstate", None), f"{type(error).__name__}: {error}")
    sys.exit(1)
