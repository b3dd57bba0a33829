"""The PostgreSQL protocol by hand: for what no driver would ever send, and for seeing every byte of an answer."""

import hashlib
import socket
import ssl
import struct

V30 = 196608
V32 = 196610
SSL_REQUEST = struct.pack("!II", 8, 80877103)
GSS_REQUEST = struct.pack("!II", 8, 80877104)


class Closed(Exception):
    """The other side closed, or reset, the connection."""


class Refused(Exception):
    """An ErrorResponse where none was expected; fields by their letter."""

    def __init__(self, fields):
        self.fields = fields
        super().__init__(f"{fields.get('S')} {fields.get('C')}: {fields.get('M')} / {fields.get('D')} / {fields.get('H')}")

    code = property(lambda self: self.fields.get("C"))
    severity = property(lambda self: self.fields.get("S"))


def startup(version=V30, **parameters):
    body = struct.pack("!I", version)
    for name, value in parameters.items():
        value = value if isinstance(value, bytes) else str(value).encode()
        body += name.encode() + b"\0" + value + b"\0"
    body += b"\0"
    return struct.pack("!I", len(body) + 4) + body


def message(kind, body=b""):
    return kind.encode() + struct.pack("!I", len(body) + 4) + body


def query(sql):
    return message("Q", sql.encode() + b"\0")


def parse(sql, name="", types=()):
    return message("P", name.encode() + b"\0" + sql.encode() + b"\0" + struct.pack("!H", len(types))
                   + b"".join(struct.pack("!I", t) for t in types))


def bind(values=(), portal="", name=""):
    body = portal.encode() + b"\0" + name.encode() + b"\0" + struct.pack("!HH", 0, len(values))
    for value in values:
        body += struct.pack("!i", -1) if value is None else struct.pack("!I", len(str(value).encode())) + str(value).encode()
    return message("B", body + struct.pack("!H", 0))


def describe(kind="P", name=""):
    return message("D", kind.encode() + name.encode() + b"\0")


def execute(portal="", rows=0):
    return message("E", portal.encode() + b"\0" + struct.pack("!I", rows))


def close(kind="S", name=""):
    return message("C", kind.encode() + name.encode() + b"\0")


SYNC = message("S")
FLUSH = message("H")
TERMINATE = message("X")
COPY_DONE = message("c")


def copy_data(data):
    return message("d", data)


def copy_fail(why="failed"):
    return message("f", why.encode() + b"\0")


def fields(body):
    found = {}
    for part in body.split(b"\0"):
        if part:
            found[chr(part[0])] = part[1:].decode(errors="replace")
    return found


class Wire:
    """One connection. Reads have a time-out, so that a proxy that hangs fails the test and does not hang it."""

    def __init__(self, address, timeout=20.0):
        if isinstance(address, str):
            self.socket = socket.socket(socket.AF_UNIX)
        else:
            self.socket = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        self.socket.settimeout(timeout)
        self.address = address
        self.socket.connect(address)
        if not isinstance(address, str):
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.pid, self.key = None, b""
        self.parameters = {}
        self.notices, self.notifications = [], []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def reset(self):
        """Leaves with a RST instead of a FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def timeout(self, seconds):
        self.socket.settimeout(seconds)

    def send(self, *parts):
        try:
            self.socket.sendall(b"".join(parts))
        except (ConnectionResetError, BrokenPipeError) as error:
            raise Closed(str(error)) from error

    def send_split(self, data, at):
        """The same bytes in two segments: the receiver sees a boundary at any offset."""
        self.send(data[:at])
        self.send(data[at:])

    def _more(self):
        try:
            data = self.socket.recv(65536)
        except (ConnectionResetError, ssl.SSLError) as error:
            if isinstance(error, socket.timeout):
                raise
            raise Closed(str(error)) from error
        if not data:
            raise Closed("end of stream")
        self.buffer += data

    def bytes(self, n):
        while len(self.buffer) < n:
            self._more()
        out, self.buffer = self.buffer[:n], self.buffer[n:]
        return out

    def receive(self):
        """The next message: (kind, body)."""
        header = self.bytes(5)
        return chr(header[0]), self.bytes(struct.unpack("!I", header[1:])[0] - 4)

    def message(self):
        """The next message that is not asynchronous; notices, notifications and parameters are kept aside."""
        while True:
            kind, body = self.receive()
            if kind == "N":
                self.notices.append(fields(body))
            elif kind == "A":
                self.notifications.append(body)
            elif kind == "S":
                name, value = body.split(b"\0")[:2]
                self.parameters[name.decode()] = value.decode()
            else:
                return kind, body

    def ready(self):
        """All messages up to and including ReadyForQuery."""
        seen = []
        while True:
            seen.append(self.message())
            if seen[-1][0] == "Z":
                return seen

    def kinds(self):
        return "".join(kind for kind, _ in self.ready())

    def ends(self):
        """Reads until the connection ends; the messages that still came."""
        seen = []
        try:
            while True:
                seen.append(self.message())
        except Closed:
            return seen

    def nothing(self, seconds=0.3):
        """True when no byte arrives for a while and the connection stays."""
        if self.buffer:
            return False
        before = self.socket.gettimeout()
        self.socket.settimeout(seconds)
        try:
            data = self.socket.recv(1, socket.MSG_PEEK)
            return False if data or data == b"" else True
        except socket.timeout:
            return True
        finally:
            self.socket.settimeout(before)

    def tls(self, ca=None, direct=False, alpn=("postgresql",), cert=None, version=None):
        """SSLRequest and the handshake (or the handshake at once)."""
        if not direct:
            self.send(SSL_REQUEST)
            answer = self.bytes(1)
            if answer != b"S":
                raise Refused({"S": "TLS", "C": "", "M": f"SSLRequest answered {answer!r}"})
            assert not self.buffer, "bytes after S"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if ca:
            context.load_verify_locations(ca)
            context.verify_mode = ssl.CERT_REQUIRED
        if cert:
            context.load_cert_chain(*cert)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        if version:
            context.minimum_version = context.maximum_version = version
        try:
            self.socket = context.wrap_socket(self.socket)
        except (ssl.SSLError, ConnectionResetError, BrokenPipeError) as error:
            raise Closed(f"TLS: {error}") from error
        return self

    def login(self, user="u_trust", database="app", password=None, version=V30, **parameters):
        """Startup to the first ReadyForQuery. Raises Refused on an ErrorResponse."""
        self.send(startup(version, user=user, database=database, **parameters))
        return self.finish_login(user, password)

    def finish_login(self, user="u_trust", password=None):
        while True:
            kind, body = self.message()
            if kind == "E":
                self.close()
                raise Refused(fields(body))
            if kind == "R":
                method = struct.unpack("!I", body[:4])[0]
                if method == 5:
                    inner = hashlib.md5(password.encode() + user.encode()).hexdigest().encode()
                    self.send(message("p", b"md5" + hashlib.md5(inner + body[4:8]).hexdigest().encode() + b"\0"))
                elif method == 3:
                    self.send(message("p", password.encode() + b"\0"))
                else:
                    assert method == 0, f"authentication method {method}"
            elif kind == "K":
                self.pid, self.key = struct.unpack("!I", body[:4])[0], body[4:]
            elif kind == "v":
                self.negotiated = body
            elif kind == "Z":
                self.status = body
                return self
            else:
                raise AssertionError(f"unexpected {kind!r} in login")

    def query(self, sql):
        """A simple query: rows as lists of text. Raises Refused."""
        self.send(query(sql))
        return self.answer()

    def answer(self):
        """Reads one simple query's answer."""
        rows, error = [], None
        while True:
            kind, body = self.message()
            if kind == "D":
                row, at = [], 2
                for _ in range(struct.unpack("!H", body[:2])[0]):
                    size = struct.unpack("!i", body[at:at + 4])[0]
                    at += 4
                    row.append(None if size < 0 else body[at:at + size].decode())
                    at += max(size, 0)
                rows.append(row)
            elif kind == "E":
                error = Refused(fields(body))
                if error.severity in ("FATAL", "PANIC"):
                    raise error
            elif kind == "Z":
                self.status = body
                if error:
                    raise error
                return rows

    def fatal(self):
        """The FATAL that ends this session: its fields, and that the connection ends behind it."""
        for kind, body in self.ends():
            if kind == "E":
                return fields(body)
        raise AssertionError("the connection ended without an ErrorResponse")

    def cancel_packet(self):
        return struct.pack("!IIi", 12 + len(self.key), 80877102, 0)[:8] + struct.pack("!I", self.pid) + self.key

    def cancel(self, address=None, tls=None):
        """Sends a CancelRequest for this session on a connection of its own and waits for that to be closed."""
        with Wire(address or self.address) as other:
            if tls:
                other.tls()
            other.send(self.cancel_packet())
            assert other.ends() == []
