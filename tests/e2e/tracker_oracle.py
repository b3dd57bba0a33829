"""A client of PostgreSQL that shows every byte, in both directions, to the tracker, and asks the server what is true.

The truth is pg_stat_activity seen from another connection, at moments when the server certainly waits for us: all our bytes
have left the socket's queue and the backend sits in ClientRead. `idle` there means that the last thing the server did was to
send ReadyForQuery outside a transaction."""

import ctypes
import fcntl
import os
import select
import struct
import subprocess
import termios
import time

from harness import place, wire
from harness.wire import Wire

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
IDLE, BETWEEN, SETTLED, IN_TRANSACTION, VIOLATION = 1, 2, 4, 8, 16


def library():
    path = os.path.join(place.folder("tracker"), "tracker.so")
    # undefined behaviour traps: this library is loaded into Python, where the sanitizers' runtime is not
    place.run([os.environ.get("CC", "cc"), "-std=c11", "-D_GNU_SOURCE", "-O1", "-g", "-shared", "-fPIC", "-fsanitize=undefined",
               "-fsanitize-undefined-trap-on-error", "-I", f"{TOP}/include", "-o", path,
               f"{TOP}/proxy/proto/tracker.c", f"{TOP}/tests/e2e/tracker_oracle.c"])
    lib = ctypes.CDLL(path)
    lib.oracle_new.restype = ctypes.c_void_p
    lib.oracle_new.argtypes = [ctypes.c_char]
    lib.oracle_free.argtypes = [ctypes.c_void_p]
    lib.oracle_client.restype = ctypes.c_size_t
    lib.oracle_client.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_bool]
    lib.oracle_server.restype = ctypes.c_bool
    lib.oracle_server.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
    lib.oracle_state.argtypes = [ctypes.c_void_p]
    lib.oracle_text.restype = ctypes.c_char_p
    lib.oracle_text.argtypes = [ctypes.c_void_p]
    return lib


class Wrong(AssertionError):
    """The tracker and the server disagree."""


class Gone(Exception):
    """The server ended the connection, as it does when protocol synchronisation is lost."""


class Monitor:
    """Looks at one backend from another connection."""

    def __init__(self, address):
        self.wire = Wire(address).login("postgres", "postgres")

    def look(self, pid):
        rows = self.wire.query(f"SELECT state, wait_event FROM pg_stat_get_activity({pid})")
        return rows[0] if rows else None

    def close(self):
        self.wire.close()


class Subject:
    """One session, its tracker, and the comparing of the two."""

    def __init__(self, lib, address, monitor, random):
        self.lib, self.monitor, self.random = lib, monitor, random
        self.wire = Wire(address).login("postgres", "postgres")
        self.socket = self.wire.socket
        self.socket.setblocking(False)
        self.tracker = lib.oracle_new(self.wire.status)
        self.out = b""  # not sent yet
        self.buffer = b""  # the server's bytes that are no whole message yet
        self.guard = False  # the tracker said idle, and we sent nothing since
        self.dangling = False  # extended messages since the last Sync
        self.undecidable = False  # of the program: only ask whether it says idle too early
        self.checks = {"idle": 0, "busy": 0}
        self.trace = []
        self.status = "I"

    def close(self):
        self.socket.close()
        self.lib.oracle_free(self.tracker)

    def wrong(self, what):
        raise Wrong(f"{what}; tracker: {self.text()}")

    def text(self):
        return self.lib.oracle_text(self.tracker).decode()

    def state(self):
        return self.lib.oracle_state(self.tracker)

    def idle(self):
        return bool(self.state() & IDLE)

    # sending and receiving

    def push(self, data):
        """Whole messages for the server; they leave in pieces, in pump() and flush()."""
        self.out += data
        at = 0
        while at < len(data):
            kind = chr(data[at])
            size = 1 + struct.unpack("!I", data[at + 1:at + 5])[0]
            self.trace.append(">" + kind)
            if kind in "PBEDC" or kind == "H" and size > 5:
                self.dangling = True
            elif kind == "S":
                self.dangling = False
            at += size

    def _send(self, most):
        piece = self.out[:most]
        try:
            sent = self.socket.send(piece)
        except BlockingIOError:
            return False
        except (BrokenPipeError, ConnectionResetError):
            self.receive(1 << 16)
            raise Gone()
        # What the server could see already the tracker has seen too: it is told before anything is read.
        piece, self.out = piece[:sent], self.out[sent:]
        self.guard = False
        used = self.lib.oracle_client(self.tracker, piece, len(piece), False)
        if self.state() & VIOLATION or used != len(piece):
            self.wrong(f"the tracker took {used} of {len(piece)} good bytes")
        return True

    def receive(self, most):
        """Reads what is there, at most so much. True: something was."""
        try:
            data = self.socket.recv(most)
        except BlockingIOError:
            return False
        except ConnectionResetError:
            data = b""
        if not data:
            raise Gone()
        guarded = self.guard
        at = 0
        while at < len(data):
            step = len(data) if self.random.random() < 0.7 else self.random.randrange(1, len(data) + 1)
            piece = data[at:at + step]
            at += step
            self._note(piece, guarded)
            if not self.lib.oracle_server(self.tracker, piece, len(piece)):
                self.wrong("the tracker calls the server's bytes a violation")
            if self.idle():
                guarded = self.guard = True
        return True

    def _note(self, piece, guarded):
        self.buffer += piece
        while len(self.buffer) >= 5:
            size = 1 + struct.unpack("!I", self.buffer[1:5])[0]
            if len(self.buffer) < size:
                return
            kind = chr(self.buffer[0])
            body = self.buffer[5:size]
            self.buffer = self.buffer[size:]
            if kind == "Z":
                self.status = body.decode()
                self.trace.append("<Z" + self.status)
            elif kind == "E":
                found = wire.fields(body)
                self.trace.append(f"<E[{found.get('C')} {found.get('M', '')[:40]}]")
                if found.get("S") == "FATAL":
                    raise Gone()
            elif kind not in "Dd" or self.trace[-1] != "<" + kind:
                self.trace.append("<" + kind)
            # A bare Sync's ReadyForQuery runs nothing; the rest is asynchronous.
            if guarded and kind not in "ZNAS":
                self.wrong(f"the server said {kind} though the tracker had called the session idle")

    def pump(self):
        """One turn of sending or receiving, by chance."""
        random = self.random
        if self.out and random.random() < 0.7:
            whole = random.random() < 0.6
            if self._send(len(self.out) if whole else random.randrange(1, len(self.out) + 1)):
                return
        if not self.receive(random.choice((1, 7, 100, 8192, 65536))) and not self.out:
            return
        if not self.out:
            return
        if not self.receive(65536):
            self._send(len(self.out))

    def flush(self):
        while self.out:
            if not self._send(len(self.out)) and not self.receive(65536):
                select.select([self.socket], [self.socket], [], 1)

    def waiting(self, timeout=20):
        """Until the server waits for us and all it said is read. Returns pg_stat_activity's state."""
        deadline = time.monotonic() + timeout
        pause = 0.0002
        while True:
            while self.receive(65536):
                pass
            queued = struct.unpack("i", fcntl.ioctl(self.socket, termios.TIOCOUTQ, b"\0" * 4))[0]
            if queued == 0:
                row = self.monitor.look(self.wire.pid)
                if row is None:
                    while True:  # it has ended: so will the stream
                        select.select([self.socket], [], [], 5)
                        self.receive(65536)
                if row[1] == "ClientRead":
                    while self.receive(65536):
                        pass
                    # one row is no snapshot: its state may be older than its wait_event
                    return self.monitor.look(self.wire.pid)[0]
            if time.monotonic() > deadline:
                self.wrong("the server does not come to wait for us")
            select.select([self.socket], [], [], pause)
            pause = min(pause * 2, 0.02)

    # comparing

    def compare(self):
        """Everything is sent, and the server waits for us: does the tracker say what is true?"""
        state = self.waiting()
        idle = self.idle()
        self.trace.append(f"={state}/{'idle' if idle else 'busy'}")
        self.checks["idle" if idle else "busy"] += 1
        if idle and state != "idle":
            self.wrong(f"idle, while pg_stat_activity says {state}")
        # The server goes on saying idle while it holds a Describe or a Close back for a Sync.
        if self.out == b"" and not self.dangling and not self.undecidable:
            if not idle and state == "idle":
                self.wrong("not idle, while pg_stat_activity says idle")
            if state.startswith("idle in transaction") and not self.state() & IN_TRANSACTION:
                self.wrong(f"not idle in a transaction, while pg_stat_activity says {state}")

    def cancel(self):
        with Wire(self.wire.address) as other:
            other.send(self.wire.cancel_packet())
