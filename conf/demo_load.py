#!/usr/bin/env python3
"""The demo's clients and its plot: shop instances of the old head and of the new, one line a second.

Run by conf/demo.sh: demo_load.py PORT LOG -- COMMAND... . Serves old-head clients, lets new-head clients wait, starts COMMAND (the
migration), and goes on until both kinds have seen what comes after it. Exit status 1 when a client saw an error that it should not."""

import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time

try:
    import psycopg as driver
except ImportError:  # a release without psycopg 3
    import psycopg2 as driver

OLD, NEW = "3f1c07a9d2b4", "c52a9e0f7b18"
OLD_CLIENTS, NEW_CLIENTS = 20, 20
CUSTOMERS = 150000
BEFORE, WAITING, AFTER = 4, 3, 5  # seconds: old alone, new ones waiting beside them, and what comes after the migration
LONG = 0.25  # a client whose answer takes longer than this is being held

# What each version of the shop's program does all day. Neither works on the other's schema.
BUY = {
    OLD: ("SELECT name FROM customer WHERE id = %s", "INSERT INTO purchase (customer_id, price) VALUES (%s, 19.90)"),
    NEW: ("SELECT given_name || ' ' || family_name FROM customer WHERE id = %s",
          "INSERT INTO purchase (customer_id, cents) VALUES (%s, 1990)"),
}
PERMITTED = ("55000", "57P01")  # turned away at the door, and: this session's head is no longer accepted

COLOUR = sys.stdout.isatty() and os.environ.get("TERM") != "dumb" and "NO_COLOR" not in os.environ
WIDTH = max(16, min(44, shutil.get_terminal_size((100, 24)).columns - 58))


def paint(code, text):
    return f"\033[{code}m{text}\033[0m" if COLOUR else text


def sqlstate(error, live):
    """What the client was told. libpq's drivers keep no SQLSTATE of a refused login, nor of a session that the server ends (not
    PostgreSQL's own either): then our DETAIL says it, and psycopg2 has not even that for a session."""
    code = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    if code:
        return code
    lost = driver.__name__ == "psycopg2" and "server closed the connection" in str(error)
    if "relation=behind" in str(error) or (live and lost):
        return "57P01" if live else "55000"
    return "other"


def words(text):
    """A driver's message without what libpq puts around the server's."""
    for line in text.replace("consuming input failed: ", "").splitlines():
        if line.strip().startswith("server closed the connection"):
            return
        if line.strip():
            yield line.strip().rpartition(" failed: ")[2]


class Client(threading.Thread):
    """One instance of the shop. It does what a pool does: it works, and when it loses its connection it makes another."""

    def __init__(self, port, head, stop):
        super().__init__(daemon=True)
        self.port, self.head, self.stop = port, head, stop
        self.lock = threading.Lock()
        self.began = None  # when it began to wait for what it waits for now
        self.served, self.away, self.latencies = 0, 0, []
        self.words, self.wrong, self.longest = [], [], 0.0

    def run(self):
        source = random.Random(id(self))
        while not self.stop.is_set():
            connection = None
            try:
                self.began = time.monotonic()
                connection = driver.connect(host="127.0.0.1", port=self.port, dbname="shop", user="shop_app", connect_timeout=90,
                                              options=f"-c headgate.head={self.head}", application_name=f"shop {self.head[:4]}")
                while not self.stop.is_set():
                    who = source.randrange(1, CUSTOMERS)
                    self.began = self.began or time.monotonic()  # the first answer's time begins with the connecting
                    with connection.cursor() as cursor:
                        look, buy = BUY[self.head]
                        cursor.execute(look, (who,))
                        name = cursor.fetchone()[0]
                        cursor.execute(buy, (who,))
                    connection.commit()
                    if name != f"Given{who} Family{who % 977}":
                        self.wrong.append(f"asked for customer {who}, was told {name}")
                    with self.lock:
                        self.served += 1
                        self.latencies.append(self.waited())
                    self.began = None
                    self.stop.wait(source.uniform(0.005, 0.015))
            except driver.Error as error:
                state = sqlstate(error, connection is not None)
                with self.lock:
                    self.waited()
                    self.away += 1
                    if state not in PERMITTED:
                        self.wrong.append(f"{state}: {error}")
                    if not self.words or self.words[-1][0] != state:
                        self.words.append((state, str(error).strip()))
                self.began = None
                self.stop.wait(source.uniform(0.3, 0.7))
            finally:
                if connection is not None:
                    connection.close()

    def waited(self):
        """How long it waited for what it has now."""
        span = time.monotonic() - self.began
        self.longest = max(self.longest, span)
        return span

    def take(self):
        """What happened since the last call."""
        with self.lock:
            taken = self.served, self.away, self.latencies
            self.served, self.away, self.latencies = 0, 0, []
        began = self.began
        held = began is not None and time.monotonic() - began > LONG
        return (*taken, held)


class Plot:
    def __init__(self, old, new):
        self.old, self.new, self.second, self.scale = old, new, 0, 0
        self.rows = []

    def head(self):
        print()
        print(paint("1", f"  sec  {'served':<{WIDTH}}    old/s   new/s   held  turned away   latency"))

    def line(self):
        self.second += 1
        old = [c.take() for c in self.old]
        new = [c.take() for c in self.new]
        counts = [sum(row[0] for row in side) for side in (old, new)]
        away = sum(row[1] for row in old + new)
        held = [sum(row[3] for row in side) for side in (old, new)]
        latencies = sorted(x for row in old + new for x in row[2])
        self.scale = max(self.scale, sum(counts), 1)
        bars = [round(count * WIDTH / self.scale) for count in counts]
        bar = paint("36", "▒" * bars[0]) + paint("32", "█" * bars[1])
        room = WIDTH - sum(bars)
        waiting = min(room, sum(held))
        bar += paint("33", "·" * waiting) + " " * (room - waiting)
        if latencies:
            worst = latencies[-1]
            latency = f"{statistics.median(latencies) * 1000:5.1f} ms" + (paint("33", f", longest {worst:.1f} s") if worst > LONG else "")
        else:
            latency = "    –"
        number = f"{self.second:4d}"
        print(f" {number}  {bar}  {counts[0]:6,d}  {counts[1]:6,d}  {sum(held):5d}  "
              + (paint("31", f"{away:11d}") if away else f"{away:11d}") + f"   {latency}", flush=True)
        self.rows.append((counts, held, away, latencies))


def note(text):
    print(paint("1", f"  ▶ {text}"), flush=True)


def shown(words):
    """A command as one would type it, less the files that only the demo must name."""
    out, skip = [], False
    for word in words:
        if skip or word in ("--config", "-c"):
            skip = not skip
            continue
        out.append(f'"{word}"' if " " in word else word)
    return " ".join(out)


def main():
    port, log = int(sys.argv[1]), sys.argv[2]
    command = sys.argv[sys.argv.index("--") + 1:]
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(130))
    old = [Client(port, OLD, stop) for _ in range(OLD_CLIENTS)]
    new = [Client(port, NEW, stop) for _ in range(NEW_CLIENTS)]
    plot = Plot(old, new)
    print(f"  {paint('36', '▒')} answered to clients of the old head {OLD}     {paint('32', '█')} to clients of the new head {NEW}"
          f"     {paint('33', '·')} clients being held")
    conductor = None
    try:
        plot.head()
        clock = time.monotonic()

        def second():
            nonlocal clock
            clock += 1
            time.sleep(max(0.0, clock - time.monotonic()))
            plot.line()

        note(f"{OLD_CLIENTS} instances of the old release, PGOPTIONS='-c headgate.head={OLD}'")
        for client in old:
            client.start()
        for _ in range(BEFORE):
            second()
        note(f"{NEW_CLIENTS} instances of the new release are started too early: they wait for head {NEW}")
        for client in new:
            client.start()
        for _ in range(WAITING):
            second()
        note("headgate " + shown(command[1:]))
        with open(log, "wb") as output:
            conductor = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        began, told = time.monotonic(), 0
        while conductor.poll() is None:
            second()
            with open(log, errors="replace") as output:
                lines = [line.rstrip() for line in output if line.strip()]
            for line in lines[told:]:
                print(paint("2", f"       │ {line[:110]}"))
            told = len(lines)
            if time.monotonic() - began > 90:
                raise SystemExit("the migration did not end within 90 s")
        took = time.monotonic() - began
        with open(log, errors="replace") as output:
            for line in [line.rstrip() for line in output if line.strip()][told:]:
                print(paint("2", f"       │ {line[:110]}"))
        if conductor.returncode != 0:
            print(f"headgate exec: exit {conductor.returncode}")
            return 1
        note(f"the run is over after {took:.1f} s: the gate is at {NEW}")
        for _ in range(AFTER):
            second()
    finally:
        stop.set()
        if conductor is not None and conductor.poll() is None:
            conductor.terminate()
            conductor.wait()
    for client in old + new:
        if client.ident:
            client.join(2)
    return verdict(plot, old, new)


def verdict(plot, old, new):
    print()
    wrong = [word for client in old + new for word in client.wrong]
    print(f"  Clients of the old head were held for at most {max(c.longest for c in old):.1f} s, then told:")
    for state, title in (("57P01", "to a session that was open"), ("55000", "to the same client when it came again")):
        text = next((text for client in old for seen, text in client.words if seen == state), None)
        if text:
            print(f"    {title} ({state}):")
            for line in words(text):
                print(paint("31", f"      {line}"))
    print(f"  Clients of the new head waited for at most {max(c.longest for c in new):.1f} s, and were served.")
    print(f"  Errors that no client should see: {len(wrong)}.")
    for word in wrong[:5]:
        print(paint("31", f"  unexpected: {word}"))
    served_new = plot.rows[-1][0][1]
    if served_new == 0:
        print(paint("31", "  the new clients were not served"))
    if not any(client.words for client in old):
        print(paint("31", "  the old clients were not turned away"))
        return 1
    return 1 if wrong or served_new == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
