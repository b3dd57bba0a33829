"""Programs that the bench starts: each in its own process group, measured through /proc, ended with the bench.

A Child's figures are those of its whole process group: CPU seconds of all threads, resident memory."""

import ctypes
import os
import random
import signal
import socket
import subprocess
import time

TICK = os.sysconf("SC_CLK_TCK")
PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class Failure(Exception):
    """Something that the bench needs did not work; the text says what."""


def free_port():
    """A TCP port that nothing listens on, below the range that outgoing connections use."""
    for _ in range(200):
        port = random.randrange(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise Failure("no free port found")


def _stat(pid):
    """The fields of /proc/PID/stat after the command name: [0] is the state."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        return file.read().rpartition(")")[2].split()


def group_members(group):
    members = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if int(_stat(name)[2]) == group:
                    members.append(int(name))
            except (OSError, IndexError):
                pass
    return members


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


class Child:
    """One started program. `end_signal` is how it is asked to leave; after `patience` seconds it is killed."""

    def __init__(self, name, argv, folder, env=None, end_signal=signal.SIGTERM, patience=10):
        self.name = name
        self.end_signal = end_signal
        self.patience = patience
        self.log_path = os.path.join(folder, f"{name}.log")
        bench = os.getpid()

        def tie_to_bench():
            os.setsid()
            _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            if os.getppid() != bench:
                os._exit(1)

        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, preexec_fn=tie_to_bench)
        self.pid = self.process.pid

    def place(self, cores):
        """Lets all its threads, and its children's, run on these cores only. What they start later follows."""
        for pid in (self.pid, *children_of(self.pid)):
            try:
                for task in os.listdir(f"/proc/{pid}/task"):
                    os.sched_setaffinity(int(task), cores)
            except OSError:
                pass

    def log_tail(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return "".join(file.readlines()[-15:])

    def wait_for_port(self, port, seconds=20):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise Failure(f"{self.name} ended with status {self.process.returncode}:\n{self.log_tail()}")
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise Failure(f"{self.name} does not listen on port {port}:\n{self.log_tail()}")

    def cpu(self):
        """CPU seconds so far, user and system: by each process's own clock, plus what ended children used."""
        total = 0.0
        for pid in group_members(self.pid):
            try:
                total += time.clock_gettime((~pid << 3) | 2)  # clock_getcpuclockid(3), nanoseconds
                fields = _stat(pid)
                total += (int(fields[13]) + int(fields[14])) / TICK
            except OSError:
                pass
        return total

    def clock(self):
        """CPU seconds of the started process alone, all its threads: cheap enough to be read ten times a second."""
        return time.clock_gettime((~self.pid << 3) | 2)

    def cpu_split(self):
        """(user, system) seconds, to the clock tick."""
        user = system = 0
        for pid in group_members(self.pid):
            try:
                fields = _stat(pid)
            except OSError:
                continue
            user += int(fields[11]) + int(fields[13])
            system += int(fields[12]) + int(fields[14])
        return user / TICK, system / TICK

    def resident_kib(self):
        total = 0
        for pid in group_members(self.pid):
            try:
                total += int(_stat(pid)[21]) * PAGE_KIB
            except OSError:
                pass
        return total

    def end(self, pid=None):
        """Asks (pid: another process of the group, where this one is a tracer), waits, at last kills."""
        if self.process.poll() is None:
            try:
                os.kill(pid or self.pid, self.end_signal)
                self.process.wait(self.patience)
            except ProcessLookupError:
                pass
            except subprocess.TimeoutExpired:
                os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()
        for left in group_members(self.pid):
            try:
                os.kill(left, signal.SIGKILL)
            except ProcessLookupError:
                pass


class Nursery:
    """Starts children and ends those that are left, newest first."""

    def __init__(self, folder):
        self.folder = folder
        self.children = []

    def start(self, name, argv, **how):
        child = Child(name, argv, self.folder, **how)
        self.children.append(child)
        return child

    def end(self, child, pid=None):
        child.end(pid)
        if child in self.children:
            self.children.remove(child)

    def end_all(self):
        for child in reversed(self.children[:]):
            self.end(child)
