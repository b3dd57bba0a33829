"""The proxy under test: writes its configuration, starts it, waits until it answers, and at the end insists that it
left in order: exit status 0, nothing to say for the sanitizers, no descriptor kept."""

import contextlib
import copy
import json
import os
import re
import signal
import struct
import subprocess
import time

import pytest

from . import place
from .wait import until
from .wire import Closed, Wire

# As few log lines as let us count its descriptors: a proxy that does not log debug is shut to everybody but root.
QUIET = "info" if os.geteuid() == 0 else "debug"
SANITIZER = re.compile(r"(AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:|UndefinedBehaviorSanitizer)")


def binary():
    path = os.environ.get("HEADGATE_BIN")
    if not path:
        pytest.fail("HEADGATE_BIN names no binary: run tests/run.sh, or HEADGATE_BIN=build/release/headgate pytest-3 tests/e2e")
    return os.path.abspath(path)


def merge(base, more):
    """`more` over `base`, maps merged key by key. None takes a key away."""
    out = copy.deepcopy(base)
    for key, value in more.items():
        if value is None:
            out.pop(key, None)
        elif isinstance(value, dict) and isinstance(out.get(key), dict):
            out[key] = merge(out[key], value)
        else:
            out[key] = value
    return out


def section(cluster, dbname, **more):
    """One database's section: gated by its Alembic table, heads in the order old, new, newest."""
    base = {
        "upstream": {"address": f"127.0.0.1:{cluster.port}", "dbname": dbname, "tls": {"mode": "disable"}},
        "control": {"dsn": cluster.dsn(dbname)},
        "recorded": {"reader": "alembic", "schema": "public", "order": ["old", "new", "newest"]},
        "undeclared": "reject",
        "ahead": "reject",
        "mode": "enforce",
    }
    return merge(base, more)


class Rows(list):
    """What the console answers: a list of dicts, with the command tag."""

    tag = ""
    columns = ()


class Headgate:
    def __init__(self, databases, config=None, start=True, environment=None, name="hg"):
        self.base = place.folder(name)
        self.port = place.port()
        self.host = "127.0.0.1"
        self.console_path = os.path.join(self.base, ".s.PGSQL.6434")
        self.config_path = os.path.join(self.base, "headgate.yaml")
        self.log_path = os.path.join(self.base, "log")
        self.process = None
        self.wires = []
        self.environment = environment or {}
        self.config = merge({
            "listen": [{"address": f"127.0.0.1:{self.port}"}],
            "workers": 2,
            "console": {"address": f"unix:{self.console_path}"},
            "databases": databases,
            "shutdown": {"timeout": "5s"},
            "log": {"level": "debug"},
        }, config or {})
        self.write()
        if start:
            self.start()

    def write(self, text=None):
        """The configuration file. JSON is YAML."""
        with open(self.config_path, "w") as f:
            f.write(text if text is not None else json.dumps(self.config, indent=1))

    def configure(self, **more):
        """Changes the file; reload() makes it count."""
        self.config = merge(self.config, more)
        self.write()

    def arguments(self, *words):
        return [binary(), *words]

    def env(self):
        env = dict(os.environ)
        env.update({
            "ASAN_OPTIONS": "detect_leaks=1:exitcode=99:detect_stack_use_after_return=1",
            "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:exitcode=99",
            "TSAN_OPTIONS": "exitcode=99:second_deadlock_stack=1:suppressions=" + os.path.join(
                os.path.dirname(os.path.abspath(__file__)), "tsan.supp"),
        })
        env.update(self.environment)
        return env

    def start(self, wait=True):
        log = open(self.log_path, "ab")
        self.process = subprocess.Popen(self.arguments("serve", "--config", self.config_path), stdin=subprocess.DEVNULL,
                                        stdout=log, stderr=log, env=self.env(), start_new_session=True, cwd=self.base,
                                        preexec_fn=place.die_with_parent)
        log.close()
        if wait:
            until(self._answers, lambda: "headgate to start\n" + self.log(), 60)
        return self

    def _answers(self):
        if self.process.poll() is not None:
            raise RuntimeError("headgate ended: " + self.log())
        try:
            return bool(self.console("SHOW VERSION"))
        except Closed:
            return False

    def run(self, *words, check=True, timeout=60, **more):
        """A subcommand to its end: (exit status, output). words[0] is the subcommand; the configuration is added."""
        env = merge(self.env(), more.pop("env", {}))
        command = self.arguments(words[0], "--config", self.config_path, *words[1:])
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", timeout=timeout, env=env, **more)
        assert not SANITIZER.search(done.stdout), done.stdout
        if check:
            assert done.returncode == 0, f"headgate {' '.join(words)}: exit {done.returncode}\n{done.stdout}\n{self.log()}"
        return done.returncode, done.stdout

    def spawn(self, *words, **more):
        """A subcommand in the background (exec); output through a pipe."""
        env = merge(self.env(), more.pop("env", {}))
        command = self.arguments(words[0], "--config", self.config_path, *words[1:])
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True, errors="replace", env=env, start_new_session=True,
                                preexec_fn=place.die_with_parent, **more)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.stop()
        else:
            self.kill()

    def stop(self, how=signal.SIGTERM, status=0, timeout=30):
        """Asks it to leave (how None: it has been asked) and checks that it left in order."""
        for wire in self.wires:
            wire.close()
        if self.process is None:
            return
        process, self.process = self.process, None
        if how is not None and process.poll() is None:
            process.send_signal(how)
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"headgate did not leave within {timeout} s\n" + self.log())
        text = self.log(None)
        found = SANITIZER.search(text)
        assert not found, text[max(0, found.start() - 200):found.start() + 6000]
        assert process.returncode == status, f"exit {process.returncode}\n" + self.log()

    def kill(self):
        """SIGKILL: the proxy crashes."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def reload(self):
        """SIGHUP, and waits until the log tells how it went."""
        size = os.path.getsize(self.log_path)
        self.process.send_signal(signal.SIGHUP)
        return until(lambda: "reload" in self.log_from(size).lower() and self.log_from(size), "the reload's log line")

    def log_from(self, offset):
        with open(self.log_path, "rb") as f:
            f.seek(offset)
            return f.read().decode(errors="replace")

    def log(self, last=12000):
        try:
            with open(self.log_path, errors="replace") as f:
                text = f.read()
        except FileNotFoundError:
            return ""
        return text if last is None else text[-last:]

    def log_size(self):
        return os.path.getsize(self.log_path)

    @property
    def address(self):
        return (self.host, self.port)

    def wire(self, timeout=20.0):
        self.wires.append(Wire(self.address, timeout))
        return self.wires[-1]

    def login(self, head=None, database="app", user="u_trust", timeout=20.0, **parameters):
        """A raw client that says by `options` what it was built for."""
        wire = self.wire(timeout)
        if head is not None:
            parameters["options"] = f"-c headgate.head={head}"
        return wire.login(user=user, database=database, **parameters)

    def begin_login(self, head=None, database="app", user="u_trust", **parameters):
        """Sends the startup packet and does not wait: for clients that will be held."""
        from .wire import startup

        wire = self.wire()
        if head is not None:
            parameters["options"] = f"-c headgate.head={head}"
        wire.send(startup(user=user, database=database, **parameters))
        return wire

    def console_wire(self):
        return Wire(self.console_path).login(user="root", database="headgate")

    def console(self, sql, wire=None):
        """One console command by simple protocol. Raises Refused on its error."""
        own = wire is None
        wire = wire or self.console_wire()
        try:
            wire.send(b"Q" + struct.pack("!I", len(sql.encode()) + 5) + sql.encode() + b"\0")
            return self.console_answer(wire)
        finally:
            if own:
                wire.close()

    @staticmethod
    def console_answer(wire):
        from .wire import Refused, fields

        rows, error = Rows(), None
        while True:
            kind, body = wire.message()
            if kind == "T":
                at, names = 2, []
                for _ in range(struct.unpack("!H", body[:2])[0]):
                    end = body.index(b"\0", at)
                    names.append(body[at:end].decode())
                    at = end + 19
                rows.columns = tuple(names)
            elif kind == "D":
                at, values = 2, []
                for _ in range(struct.unpack("!H", body[:2])[0]):
                    size = struct.unpack("!i", body[at:at + 4])[0]
                    at += 4
                    values.append(None if size < 0 else body[at:at + size].decode())
                    at += max(size, 0)
                rows.append(dict(zip(rows.columns, values)))
            elif kind == "C":
                rows.tag = body[:-1].decode()
            elif kind == "E":
                error = Refused(fields(body))
            elif kind == "Z":
                if error:
                    raise error
                return rows

    def gate(self, database="app"):
        """The row of SHOW GATES for one database."""
        for row in self.console("SHOW GATES"):
            if row["database"] == database:
                return row
        raise LookupError(f"no gate {database}")

    def clients(self, database="app"):
        return [row for row in self.console("SHOW CLIENTS") if row["database"] == database]

    def until_recorded(self, head, database="app"):
        """Waits until the proxy has read that head."""
        return until(lambda: self.gate(database) if self.gate(database)["recorded"] == head else None,
                     f"{database} read at {head}")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def rss_kib(self):
        with open(f"/proc/{self.process.pid}/status") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat") as f:
            fields = f.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @contextlib.contextmanager
    def no_leak(self):
        """What runs inside may cost no descriptor once it is over."""
        time.sleep(0)
        before = self.descriptors()
        yield
        until(lambda: self.descriptors() <= before, lambda: f"descriptors back at {before}, now {self.descriptors()}\n" + self.log())
