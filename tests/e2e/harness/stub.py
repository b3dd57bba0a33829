"""A fake PostgreSQL that does what a script says: for faults that a real server will not make."""

import socket
import struct
import threading

from . import place
from .wire import message

AUTH_OK = message("R", struct.pack("!I", 0))
READY = message("Z", b"I")
KEY = message("K", struct.pack("!II", 4711, 815))


def parameter(name, value):
    return message("S", name.encode() + b"\0" + value.encode() + b"\0")


def error(sqlstate, text, severity="FATAL"):
    return message("E", f"S{severity}\0V{severity}\0C{sqlstate}\0M{text}\0\0".encode())


class Peer:
    """The server's side of one connection."""

    def __init__(self, connection):
        self.socket = connection
        self.buffer = b""

    def bytes(self, n):
        while len(self.buffer) < n:
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionError("the proxy closed")
            self.buffer += data
        out, self.buffer = self.buffer[:n], self.buffer[n:]
        return out

    def packet(self):
        """A packet without a type byte: startup, SSLRequest, cancel."""
        size = self.bytes(4)
        return size + self.bytes(struct.unpack("!I", size)[0] - 4)

    def receive(self):
        header = self.bytes(5)
        return chr(header[0]), self.bytes(struct.unpack("!I", header[1:])[0] - 4)

    def send(self, *parts):
        self.socket.sendall(b"".join(parts))

    def welcome(self):
        """Startup to ReadyForQuery; returns the startup packet."""
        packet = self.packet()
        self.send(AUTH_OK, parameter("server_version", "15.0"), parameter("client_encoding", "UTF8"), KEY, READY)
        return packet

    def gone(self):
        """Waits for the proxy's end of stream."""
        try:
            while self.socket.recv(65536):
                pass
        except OSError:
            pass

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


class Stub:
    """`with Stub(script) as server:` runs script(peer, number) for every connection, each in its own thread."""

    def __init__(self, script):
        self.script = script
        self.port = place.port()
        self.host = "127.0.0.1"
        self.errors, self.peers, self.threads = [], [], []
        self.listener = socket.create_server((self.host, self.port), backlog=128)
        self.acceptor = threading.Thread(target=self._accept, daemon=True)
        self.acceptor.start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.settimeout(30)
            peer = Peer(connection)
            self.peers.append(peer)
            thread = threading.Thread(target=self._run, args=(peer, len(self.peers)), daemon=True)
            self.threads.append(thread)
            thread.start()

    def _run(self, peer, number):
        try:
            self.script(peer, number)
        except (ConnectionError, OSError) as problem:
            self.errors.append(problem)
        finally:
            try:
                peer.socket.close()
            except OSError:
                pass

    connections = property(lambda self: len(self.peers))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        for peer in self.peers:
            try:
                peer.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self.threads:
            thread.join(5)
