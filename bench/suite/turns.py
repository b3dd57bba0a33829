"""Section turns: headgate and PgBouncer, connected at the same time, have the machine to themselves in turns of a quarter of a second.

Two runs of one proxy, one after the other, differ by twenty percent here: new backends, another luck with the scheduler, other guests
on the host, who come and go within seconds. So nothing is started anew between the two: all their backends are there and warm, and the
pgbench of the one is stopped (SIGSTOP) while the other's runs (SIGCONT). What happened in a turn is read from pgbench's log, which has the
moment of each transaction's end."""

import contextlib
import glob
import os
import signal
import subprocess
import time

from . import pgbench
from .children import Failure

SETTLE, TURN = 0.08, 0.2  # seconds: what is left of the turn before passes, and what is measured
WARM = 3                  # both at once, after the last backend has come
ROUND, ROUNDS = 10, 3     # turns of each in a round, rounds before all is started anew


class _Load:
    """One variant's pgbench, stopped or running."""

    def __init__(self, rig, variant, protocol, clients, place):
        self.variant = variant
        self.prefix = os.path.join(rig.folder, f"turns_log.{variant.name}")
        self.errors = open(os.path.join(rig.folder, f"turns_errors.{variant.name}"), "w+", encoding="utf-8")
        self.turns = []  # (begin, end by the wall clock, the proxy's CPU seconds between)
        more = ["-T", "600", "-l", f"--log-prefix={self.prefix}"]
        self.process = subprocess.Popen(
            place + pgbench.command(rig, variant, protocol, clients, *more), env=pgbench.environment(variant, False),
            stdout=subprocess.DEVNULL, stderr=self.errors)

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def turn(self):
        self.process.send_signal(signal.SIGCONT)
        time.sleep(SETTLE)
        begin, cpu = time.time(), self.variant.child.clock()
        time.sleep(TURN)
        end, cpu_end = time.time(), self.variant.child.clock()
        self.pause()
        self.turns.append((begin, end, cpu_end - cpu))

    def finish(self):
        """Ends it as its own -T would; raises Failure with what it complained of."""
        self.process.send_signal(signal.SIGALRM)
        self.process.send_signal(signal.SIGCONT)
        status = self.process.wait(60)
        self.errors.seek(0)
        complaints = [line.strip() for line in self.errors if pgbench.COMPLAINT.search(line)]
        if status != 0 or complaints:
            raise Failure(f"pgbench through {self.variant.name}: status {status}: {' / '.join(complaints[:3])}")

    def results(self):
        """A pgbench.Run for each round."""
        latencies = [[] for _ in self.turns]
        for path in glob.glob(self.prefix + ".*"):
            with open(path, encoding="ascii") as file:
                turn = 0
                for line in file:
                    fields = line.split()
                    moment = int(fields[4]) + int(fields[5]) / 1e6
                    while turn < len(self.turns) and moment >= self.turns[turn][1]:
                        turn += 1
                    if turn < len(self.turns) and moment >= self.turns[turn][0]:
                        latencies[turn].append(int(fields[2]) / 1000)
        for first in range(0, len(self.turns), ROUND):
            values = sorted(value for turn in latencies[first:first + ROUND] for value in turn)
            if not values:
                raise Failure(f"pgbench through {self.variant.name}: a round without a transaction")
            seconds = sum(end - begin for begin, end, _ in self.turns[first:first + ROUND])
            cpu = sum(cpu for _, _, cpu in self.turns[first:first + ROUND])
            yield pgbench.Run(len(values) / seconds, sum(values) / len(values), values[len(values) // 2], values[int(len(values) * 0.99)],
                              cpu / len(values) * 1e6, None)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.errors.close()
        for path in glob.glob(self.prefix + ".*"):
            os.unlink(path)


def _start(rig, variants, protocol, clients):
    rig.cluster.renew_backends()
    with pgbench.one_core(rig, variants, clients == 1 and not rig.options.free) as place, contextlib.ExitStack() as stack:
        loads = []
        for variant in variants:
            loads.append(_Load(rig, variant, protocol, clients, place))
            stack.callback(loads[-1].close)
        deadline = time.monotonic() + 60
        while rig.cluster.backends() < sum(variant.backends(clients) for variant in variants):
            if time.monotonic() > deadline or any(load.process.poll() is not None for load in loads):
                raise Failure(f"pgbench -M {protocol} -c {clients}: not everybody's clients got a backend")
            time.sleep(0.1)
        time.sleep(WARM)
        for load in loads:
            load.pause()
        for number in range(ROUND * ROUNDS):
            for load in loads if number % 2 == 0 else loads[::-1]:
                load.turn()
        for load in loads:
            load.finish()
        return {load.variant: list(load.results()) for load in loads}


def turns(rig, variants):
    variants = [variant for variant in variants if variant.name in ("headgate", "pgbouncer-session")]
    if len(variants) < 2:
        return
    for number, order in rig.interleaved(variants):
        for protocol in rig.options.protocols:
            for clients in rig.options.clients:
                case = f"{protocol} {clients}"
                try:
                    for variant, what in _start(rig, order, protocol, clients).items():
                        for part, one in enumerate(what):
                            pgbench.record(rig, "turns", case, variant, number * ROUNDS + part, one, "transaction")
                except Failure as failure:
                    rig.say(str(failure))
                    rig.results.note("turns", f"FAILED: {failure}")
