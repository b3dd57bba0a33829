"""Random programs: what a client may send, legal or not, that a server survives; run directly and through the proxy, and compared."""

import random
import select
import socket
import ssl
import struct
import threading
import time

from . import wire
from .wire import Wire

ASYNCHRONOUS = "NAS"


class Hangs(Exception):
    """No answer for half a minute."""


class Program:
    """Flights of bytes: what is sent without waiting for an answer. Legal and illegal uses of the protocol that a server survives."""

    def __init__(self, seed):
        self.source = source = random.Random(seed)
        self.flights = [wire.query("CREATE TEMP TABLE t (a int, b text)")]
        self.names = 0
        for _ in range(source.randrange(2, 9)):
            pieces = [source.choice(self.KINDS)(self) for _ in range(source.choice([1, 1, 2, 3, 6]))]
            self.flights.append(b"".join(pieces))
        # out of whatever it got into: the end of a COPY, of a batch, of a transaction
        self.flights += [wire.COPY_DONE + wire.SYNC, wire.query("ROLLBACK"), wire.query("SELECT 'end', count(*) FROM t")]

    def statement(self):
        source = self.source
        return source.choice([
            lambda: f"SELECT {source.randrange(1000)}",
            lambda: f"SELECT i, repeat('x', {source.randrange(2000)}) FROM generate_series(1, {source.randrange(300)}) i",
            lambda: f"INSERT INTO t VALUES ({source.randrange(1000)}, 'b')",
            lambda: "SELECT count(*), sum(a) FROM t",
            lambda: "SELECT 1/0",
            lambda: "SELECT * FROM nowhere",
            lambda: "",
            lambda: "BEGIN",
            lambda: "COMMIT",
            lambda: "ROLLBACK",
            lambda: "SAVEPOINT s",
            lambda: "ROLLBACK TO s",
            lambda: "SET application_name = 'other'",
            lambda: "DO $$ BEGIN RAISE NOTICE 'hello'; END $$",
            lambda: f"SELECT pg_sleep(0.00{source.randrange(9)})",
            lambda: f"SELECT '{'y' * source.randrange(100000)}' <> ''",
            lambda: "COPY (SELECT i, 'out' FROM generate_series(1, 500) i) TO STDOUT",
        ])()

    def simple(self):
        return wire.query("; ".join(self.statement() for _ in range(self.source.choice([1, 1, 1, 3]))))

    def extended(self):
        source, out = self.source, b""
        for _ in range(source.choice([1, 1, 2, 5])):
            name = source.choice(["", f"p{self.names}"])
            self.names += 1
            out += wire.parse(self.statement(), name)
            if source.random() < 0.3:
                out += wire.describe("S", name)
            if source.random() < 0.2:
                out += wire.FLUSH
            out += wire.bind(name=name if source.random() < 0.95 else "missing")
            if source.random() < 0.5:
                out += wire.describe()
            out += wire.execute(rows=source.choice([0, 0, 0, 3]))
            if source.random() < 0.1:
                out += wire.query("SELECT 'in between'")
            if source.random() < 0.1:
                out += wire.close("S", name)
        if source.random() < 0.85:
            out += wire.SYNC * source.choice([1, 1, 1, 2])
        elif source.random() < 0.5:
            out += wire.FLUSH
        return out

    def data(self):
        source = self.source
        lines = [f"{source.randrange(1000)}\tline\n".encode() if source.random() < 0.97 else b"not\ta number\n"
                 for _ in range(source.choice([0, 1, 5, 400]))]
        whole, out = b"".join(lines), b""
        while whole:
            n = source.randrange(1, 3000)
            out, whole = out + wire.copy_data(whole[:n]), whole[n:]
            if source.random() < 0.05:
                out += wire.FLUSH
        return out + (wire.COPY_DONE if source.random() < 0.85 else wire.copy_fail())

    def copy_in(self):
        return wire.query("COPY t FROM STDIN") + self.data()

    def copy_in_extended(self):
        early = wire.SYNC if self.source.random() < 0.5 else b""
        return wire.parse("COPY t FROM STDIN") + wire.bind() + wire.execute() + early + self.data() + wire.SYNC

    def call(self):
        """int4pl(20, 22), by its number in every PostgreSQL."""
        body = struct.pack("!IHHH", 177, 1, 0, 2) + b"".join(struct.pack("!I", 2) + t for t in (b"20", b"22")) + struct.pack("!H", 0)
        return wire.message("F", body)

    def sync(self):
        return wire.SYNC

    def flush(self):
        return wire.FLUSH

    KINDS = [simple, simple, simple, extended, extended, extended, copy_in, copy_in_extended, call, sync, flush]


class Account:
    """Runs a program and writes down what it was told. Sends and reads by turns, as a server and a proxy may both be waiting for us to
    read; in one thread, as Python's TLS allows no other."""

    def __init__(self, client, program, seed, split):
        self.client, self.program, self.split = client, program, split
        self.source = random.Random(seed)
        self.messages, self.ended = [], False
        client.socket.setblocking(False)

    def _send(self, data):
        n = len(data) if not self.split else self.source.choice([1, 4, 5, 6, 100, 5000, 70000])
        try:
            return data[self.client.socket.send(data[:n]):]
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return data
        except OSError:
            return b""  # whether the connection is at its end is for the reading to tell

    def _receive(self):
        try:
            data = self.client.socket.recv(65536)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        except OSError:
            data = b""
        self.ended = not data
        self.client.buffer += data
        return True

    def _take(self):
        """The whole messages that are there, less those that come at any time; how many."""
        buffer, at, count = self.client.buffer, 0, 0
        while len(buffer) - at >= 5:
            kind, size = chr(buffer[at]), struct.unpack("!I", buffer[at + 1:at + 5])[0]
            if len(buffer) - at < size + 1:
                break
            body, at = buffer[at + 5:at + 1 + size], at + 1 + size
            if kind in ASYNCHRONOUS:
                continue
            if kind == "E":
                body = sorted(item for item in wire.fields(body).items() if item[0] in "SVCM")
            self.messages.append((kind, body))
            count += 1
        self.client.buffer = buffer[at:]
        return count

    def exchange(self, data, wanted, quiet):
        """Sends, and reads as many messages as `wanted`, or None: all that come before it is quiet."""
        count = self._take()
        while not self.ended and (data or wanted is None or count < wanted):
            sock = self.client.socket
            patience = quiet if wanted is None and not data else 30
            waiting = isinstance(sock, ssl.SSLSocket) and sock.pending() > 0
            readable, writable, _ = select.select([sock], [sock] if data else [], [], 0 if waiting else patience)
            if readable or waiting:
                self._receive()
                count += self._take()
            elif not writable:
                if wanted is None:
                    break
                raise Hangs
            if writable:
                data = self._send(data)
        return count

    def run(self, counts=None, quiet=0.12, end="terminate"):
        found = []
        for number, flight in enumerate(self.program.flights):
            found.append(self.exchange(flight, counts[number] if counts else None, quiet))
            if self.ended:
                return found
        last = wire.query("SELECT 'last', a + 0 FROM t") if end != "terminate at once" else b""
        last += wire.TERMINATE if end.startswith("terminate") else b""
        if end == "half close":
            self.client.socket.setblocking(True)
            self.client.send(last)
            self.client.socket.shutdown(socket.SHUT_WR)
            self.client.socket.setblocking(False)
            last = b""
        self.exchange(last, 10**9, None)
        return found


def explain(ours, theirs):
    for number, (a, b) in enumerate(zip(ours, theirs)):
        if a != b:
            return f"message {number}: {a!r:.300} instead of {b!r:.300}; before it: {[k for k, _ in ours[max(0, number - 12):number]]}"
    return f"{len(ours)} messages instead of {len(theirs)}: {[k for k, _ in ours[len(theirs) - 3:]]} {[k for k, _ in theirs[len(ours) - 3:]]}"


def compare(cluster, gate, dbname, seed, tls=False, end="terminate", split=True):
    program = Program(seed)
    with Wire(("127.0.0.1", cluster.port), 30).login("u_trust", dbname) as client:
        direct = Account(client, program, seed, False)
        counts = direct.run(end=end)
    with gate.wire(30) as client:
        if tls:
            client.tls()
        client.login("u_trust", "app", options="-c headgate.head=old")
        through = Account(client, program, seed, split)
        try:
            through.run(counts, end=end)
        except Hangs:
            raise AssertionError(f"seed {seed}: hangs after {len(through.messages)} of {len(direct.messages)}: "
                                 f"{explain(through.messages, direct.messages)}\n{gate.clients()}") from None
    if through.messages != direct.messages:
        raise AssertionError(f"seed {seed}: {explain(through.messages, direct.messages)}")


class Holder(threading.Thread):
    """Holds and releases at random moments until it is told to stop."""

    def __init__(self, gate, seed):
        super().__init__()
        self.gate, self.source, self.stop, self.held, self.problem = gate, random.Random(seed), threading.Event(), 0, None

    def run(self):
        try:
            while not self.stop.is_set():
                with self.gate.console_wire() as console:
                    try:
                        self.gate.console("HOLD app DRAIN TIMEOUT 150ms ON TIMEOUT ABORT", console)
                        self.held += 1
                        time.sleep(self.source.random() / 20)
                        self.gate.console("RELEASE app", console)
                    except wire.Refused as refused:
                        self.refused = refused  # somebody's transaction lasted longer
                time.sleep(self.source.random() / 20)
        except Exception as problem:  # noqa: BLE001: the test's
            self.problem = problem

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.join()
        assert self.problem is None, self.problem


def many(seeds, body, threads=4):
    """body(seed) for every seed, on several threads; the first failure is the test's."""
    left, wrong, lock = list(seeds), [], threading.Lock()

    def work():
        while not wrong:
            with lock:
                if not left:
                    return
                seed = left.pop(0)
            try:
                body(seed)
            except BaseException as error:  # noqa: BLE001
                wrong.append(error)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for thread in workers:
        thread.start()
    for thread in workers:
        thread.join()
    if wrong:
        raise wrong[0]
