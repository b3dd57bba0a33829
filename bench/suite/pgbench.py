"""Sections pgbench, connect and tls: PostgreSQL's own load program through each variant.

A run is measured from a report of pgbench's, with all clients connected and served, to its last: transactions by pgbench's own counts,
CPU by the proxy's clock at each report. Both are rates over their own stretch of time, so a report that reaches us late costs no
exactness. After the last report pgbench gets SIGALRM, which is how its own -T ends a run.

With one client, pgbench, proxy and server take turns. Whether the scheduler lets them do so on one core or wakes another core for each turn
changes everything by a factor of two to four, for minutes or for a second, whichever proxy it is. So they are put on one core then
(--free: not)."""

import contextlib
import glob
import os
import re
import signal
import subprocess
import time

from .children import Failure

REPORT = re.compile(r"progress: ([0-9.]+) s, ([0-9.]+) tps, lat ([0-9.]+) ms")
COMPLAINT = re.compile(r"error|FATAL|aborted|failed", re.IGNORECASE)


class Run:
    """What one pgbench run showed; cpu_us is None where there is no proxy."""

    def __init__(self, tps, mean_ms, median_ms, p99_ms, cpu_us, user_share):
        self.tps, self.mean_ms, self.median_ms, self.p99_ms, self.cpu_us = tps, mean_ms, median_ms, p99_ms, cpu_us
        self.user_share = user_share


def command(rig, variant, protocol, clients, *more, port=None):
    return [rig.cluster.program("pgbench"), "-n", "-S", "-M", protocol, "-c", str(clients),
            "-h", variant.host, "-p", str(port or variant.port), "-U", rig.cluster.user, *more, rig.cluster.database]


def environment(variant, tls):
    return {**os.environ, **variant.env, "PGSSLMODE": "require" if tls else "disable", "PGGSSENCMODE": "disable", "LC_ALL": "C"}


def _latencies(prefix, since):
    """(median, 99th percentile) in ms of what the log holds after a moment of wall clock; the logs are removed."""
    values = []
    for path in glob.glob(prefix + ".*"):
        with open(path, encoding="ascii") as file:
            for line in file:
                fields = line.split()
                if len(fields) >= 6 and int(fields[4]) + int(fields[5]) / 1e6 > since:
                    values.append(int(fields[2]))
        os.unlink(path)
    values.sort()
    if not values:
        return None, None
    return values[len(values) // 2] / 1000, values[int(len(values) * 0.99)] / 1000


@contextlib.contextmanager
def one_core(rig, variants, wanted):
    """The command line in front of pgbench's."""
    if not wanted:
        yield []
        return
    every = os.sched_getaffinity(0)
    one = {max(every)}
    concerned = [child for child in (rig.cluster.child, *(variant.child for variant in variants)) if child]
    try:
        for child in concerned:
            child.place(one)
        yield ["taskset", "-c", str(max(every))]
    finally:
        for child in concerned:
            child.place(every)


def run(rig, variant, protocol, clients, tls=False, reconnect=False):
    rig.cluster.renew_backends()
    with one_core(rig, [variant], clients == 1 and not rig.options.free) as place:
        return _run(rig, variant, protocol, clients, tls, reconnect, place)


def _run(rig, variant, protocol, clients, tls, reconnect, place):
    seconds, backends = rig.options.seconds, 0 if reconnect else variant.backends(clients)
    prefix = os.path.join(rig.folder, f"pgbench_log.{variant.name}")
    sampling = 1 if reconnect else 0.1
    more = ["-T", str(seconds + 60), "-P", "1", "--progress-timestamp", "-l", f"--log-prefix={prefix}",
            f"--sampling-rate={sampling}"]
    if reconnect:
        more.append("-C")
    process = subprocess.Popen(
        place + command(rig, variant, protocol, clients, *more, port=variant.tls_port() if tls else None),
        env=environment(variant, tls), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    reports, complaints = [], []
    try:
        for line in process.stderr:
            found = REPORT.match(line)
            if found:
                cpu = (variant.child.cpu(), *variant.child.cpu_split()) if variant.child else (0, 0, 0)
                if not reports and rig.cluster.backends() < backends:
                    continue  # PgBouncer makes them one by one: seconds pass before the last of 256 clients is served
                reports.append((*map(float, found.groups()), time.monotonic(), *cpu))
                if len(reports) == seconds + 1:
                    process.send_signal(signal.SIGALRM)
            elif COMPLAINT.search(line):
                complaints.append(line.strip())
        status = process.wait(30)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if status != 0 or complaints or len(reports) < seconds + 1:
        _latencies(prefix, 0)
        raise Failure(f"pgbench -M {protocol} -c {clients} through {variant.name}: status {status}: {' / '.join(complaints[:3])}")
    return _evaluate(reports[:seconds + 1], prefix, variant)


def _evaluate(reports, prefix, variant):
    first, last = reports[0], reports[-1]
    spans = [(later[0] - earlier[0], later) for earlier, later in zip(reports, reports[1:])]
    count = sum(span * report[1] for span, report in spans)
    tps = count / (last[0] - first[0])
    mean = sum(span * report[1] * report[2] for span, report in spans) / count if count else float("nan")
    middle, p99 = _latencies(prefix, first[0])
    if not variant.child:
        return Run(tps, mean, middle, p99, None, None)
    cpu_rate = (last[4] - first[4]) / (last[3] - first[3])
    user, system = last[5] - first[5], last[6] - first[6]
    return Run(tps, mean, middle, p99, cpu_rate / tps * 1e6 if tps else float("nan"),
               user / (user + system) if user + system else None)


def record(rig, section, case, variant, number, what, shown):
    add = rig.results.add
    add(section, case, variant.name, "TPS", "1/s", number, what.tps)
    add(section, case, variant.name, "mean latency", "ms", number, what.mean_ms)
    if what.median_ms is not None:
        add(section, case, variant.name, "- median latency", "ms", number, what.median_ms)
        add(section, case, variant.name, "99% latency", "ms", number, what.p99_ms)
    if what.cpu_us is not None:
        add(section, case, variant.name, f"proxy CPU per {shown}", "s per million", number, what.cpu_us)
        if what.user_share is not None:
            add(section, case, variant.name, "- user share of proxy CPU", "%", number, 100 * what.user_share)
    cpu = "" if what.cpu_us is None else f", {what.cpu_us:.1f} us CPU"
    rig.say(f"{section} {number + 1}  {case:14s} {variant.name:22s} {what.tps:9.0f} tps, {what.mean_ms:.3f} ms{cpu}")


def _measure(rig, section, cases, variants, shown="transaction"):
    """cases: {title: the arguments of run}. A variant that cannot run a case is left out of it and noted."""
    for number, order in rig.interleaved(variants):
        for case, how in cases.items():
            for variant in order:
                why = variant.cannot(how["protocol"])
                if why:
                    rig.results.note(section, f"{variant.name}: {why}.")
                    continue
                try:
                    what = run(rig, variant, **how)
                except Failure as failure:
                    rig.say(str(failure))
                    rig.results.note(section, f"FAILED: {failure}")
                    continue
                record(rig, section, case, variant, number, what, shown)


def throughput(rig, variants):
    cases = {f"{protocol} {clients}": {"protocol": protocol, "clients": clients}
             for protocol in rig.options.protocols for clients in rig.options.clients}
    _measure(rig, "pgbench", cases, variants)


def connect(rig, variants):
    cases = {"plain 8": {"protocol": "simple", "clients": 8, "reconnect": True},
             "TLS 8": {"protocol": "simple", "clients": 8, "reconnect": True, "tls": True}}
    _measure(rig, "connect", cases, variants, shown="connection")


def tls(rig, variants):
    cases = {f"{protocol} {clients}": {"protocol": protocol, "clients": clients, "tls": True}
             for protocol, clients in (("simple", 8), ("simple", 64), ("prepared", 64))}
    _measure(rig, "tls", cases, variants)
