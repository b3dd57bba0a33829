"""Where tests put things: one temporary folder a test run, free ports, and who runs PostgreSQL."""

import atexit
import os
import pwd
import shutil
import socket
import subprocess
import tempfile

_scratch = None


def scratch():
    """This process's own folder; short, because unix socket paths end at 107 bytes. Removed at the end."""
    global _scratch
    if _scratch is None:
        _scratch = tempfile.mkdtemp(prefix="hg-", dir="/tmp")
        os.chmod(_scratch, 0o755)
        atexit.register(shutil.rmtree, _scratch, True)
    return _scratch


def folder(name, server=False):
    """A new folder; with server=True it belongs to the user that PostgreSQL runs as."""
    path = tempfile.mkdtemp(prefix=name + "-", dir=scratch())
    os.chmod(path, 0o755)
    if server:
        give(path)
    return path


def server_user():
    """PostgreSQL refuses to run as root: then it runs as `postgres`, which Debian's package makes."""
    return "postgres" if os.geteuid() == 0 else None


def give(path):
    user = server_user()
    if user:
        entry = pwd.getpwnam(user)
        os.chown(path, entry.pw_uid, entry.pw_gid)


def as_server(command, dies=False):
    """The command line that runs `command` as the user PostgreSQL runs as. dies: with us, whatever kills us."""
    user = server_user()
    become = [f"--reuid={user}", f"--regid={user}", "--init-groups"] if user else []
    end = ["--pdeathsig=INT"] if dies else []
    return ["setpriv", *become, *end, "--", *command] if become or end else list(command)


def die_with_parent():
    """For Popen(preexec_fn=...): a test process that is killed leaves nothing running."""
    import ctypes
    import signal

    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def as_nobody(command):
    assert os.geteuid() == 0
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"] + list(command)


_ports = set()


def port(host="127.0.0.1"):
    """A free TCP port below the range the kernel hands out to outgoing connections, so that it stays free until it is bound."""
    import random

    low = 10000
    with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
        high = int(f.read().split()[0])
    while True:
        number = random.randrange(low, max(high, low + 10000))
        if number in _ports:
            continue
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as s:
            try:
                s.bind((host, number))
            except OSError:
                continue
        _ports.add(number)
        return number


def pg_bin():
    """PostgreSQL's programs: the newest Debian installed."""
    if os.environ.get("PG_BIN"):
        return os.environ["PG_BIN"]
    base = "/usr/lib/postgresql"
    found = [v for v in os.listdir(base) if os.path.exists(f"{base}/{v}/bin/initdb")]
    return f"{base}/{max(found, key=float)}/bin"


def run(command, **more):
    """Runs to the end; the error carries what the program said."""
    more.setdefault("timeout", 120)
    done = subprocess.run(command, stdin=more.pop("stdin", subprocess.DEVNULL), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", **more)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}")
    return done.stdout
