"""Sections instructions and syscalls: what one transaction costs, counted, not timed.

A traced proxy serves pgbench twice, a short and a long run; the difference of the two counts over the difference of the transactions
leaves start-up, logins and shut-down out. One client unless told otherwise: each transaction pays its own receives, sends and waits."""

import os
import re
import shutil
import subprocess

from . import pgbench
from .children import Failure, children_of

GROUPS = {
    "receives": ("recvfrom", "recvmsg", "recvmmsg", "read", "readv", "splice"),
    "sends": ("sendto", "sendmsg", "sendmmsg", "write", "writev"),
    "waits": ("epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll", "select", "pselect6"),
}
COUNTED = re.compile(r"Collected\s*:\s*([0-9]+)")


def _serve(rig, variant, protocol, transactions):
    clients = rig.options.traced_clients
    done = subprocess.run(
        pgbench.command(rig, variant, protocol, clients, "-t", str(transactions // clients)), env=pgbench.environment(variant, False),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=600)
    if done.returncode != 0:
        raise Failure(f"pgbench through traced {variant.name}: {done.stdout[-500:]}")


def _callgrind(rig, variant, protocol, transactions):
    """Instructions of one whole life of the proxy. The profile of the longer run stays in the results' folder."""
    out = os.path.join(rig.out, f"callgrind.{variant.name}.{protocol}")
    log = os.path.join(variant.folder, "valgrind.log")
    variant.start(wrap=("valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", f"--log-file={log}"), patience=60)
    try:
        _serve(rig, variant, protocol, transactions)
    finally:
        variant.stop()
    with open(log, encoding="utf-8", errors="replace") as file:
        found = COUNTED.findall(file.read())
    if not found:
        raise Failure(f"callgrind counted nothing for {variant.name}: see {log}")
    return int(found[-1])


def _strace(rig, variant, protocol, transactions):
    """{system call: calls} of one whole life of the proxy, all threads."""
    out = os.path.join(variant.folder, "strace.out")
    variant.start(wrap=("strace", "-f", "-c", "-U", "name,calls", "-o", out), patience=60)
    try:
        _serve(rig, variant, protocol, transactions)
    finally:
        tracee = children_of(variant.child.pid)
        variant.stop(pid=tracee[0] if tracee else None)
    calls = {}
    with open(out, encoding="ascii", errors="replace") as file:
        for line in file:
            fields = line.split()
            if len(fields) == 2 and fields[1].isdigit() and fields[0] != "total":
                calls[fields[0]] = int(fields[1])
    return calls


def _once_more(rig, variant, measure, protocol, transactions):
    """A tracer makes everything slow, and slow things meet time-outs: a failure counts only when it comes twice."""
    try:
        return measure(rig, variant, protocol, transactions)
    except (Failure, subprocess.TimeoutExpired) as failure:
        rig.say(f"once more: {failure}")
        variant.stop()
        return measure(rig, variant, protocol, transactions)


def _traced(rig, variants, section, short, long, measure, record):
    tracer = {"instructions": "valgrind", "syscalls": "strace"}[section]
    if not shutil.which(tracer):
        raise Failure(f"{tracer} is not installed")
    for protocol in rig.options.protocols:
        for variant in variants:
            if variant.name in ("direct", "pgbouncer-transaction"):
                continue
            try:
                low = _once_more(rig, variant, measure, protocol, short)
                high = _once_more(rig, variant, measure, protocol, long)
            except (Failure, subprocess.TimeoutExpired) as failure:
                rig.say(str(failure))
                rig.results.note(section, f"FAILED: {variant.name}, {protocol}: {failure}")
                continue
            record(variant, protocol, low, high, long - short)


def instructions(rig, variants):
    short, long = (500, 2500) if rig.options.quick else (1000, 9000)

    def record(variant, protocol, low, high, transactions):
        count = (high - low) / transactions
        rig.results.add("instructions", protocol, variant.name, "instructions per transaction", "user space", 0, count)
        rig.say(f"instructions  {protocol:9s} {variant.name:22s} {count:.0f} a transaction")

    _traced(rig, variants, "instructions", short, long, _callgrind, record)


def syscalls(rig, variants):
    short, long = (200, 1200) if rig.options.quick else (500, 4500)

    def record(variant, protocol, low, high, transactions):
        delta = {name: (high.get(name, 0) - low.get(name, 0)) / transactions for name in high}
        counts = {group: sum(delta.get(name, 0) for name in names) for group, names in GROUPS.items()}
        counts["others"] = sum(delta.values()) - sum(counts.values())
        for group, count in counts.items():
            rig.results.add("syscalls", protocol, variant.name, group, "calls", 0, round(count, 3) + 0.0)
        named = ", ".join(f"{name} {count:.2f}" for name, count in sorted(delta.items(), key=lambda item: -item[1])
                          if count >= 0.01)
        rig.say(f"syscalls  {protocol:9s} {variant.name:22s} {named}")

    _traced(rig, variants, "syscalls", short, long, _strace, record)
