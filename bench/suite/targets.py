"""What headgate has to show, beside its peers in the same run: one line a target, with the figure it is held to."""

from statistics import median, stdev

from . import migrate
from .results import markdown, number

SESSION, TRANSACTION = "pgbouncer-session", "pgbouncer-transaction"
MOST_ERROR = 0.04  # a figure that may be off by more cannot say "equal"


class Targets:
    def __init__(self, results):
        self.results = results
        self.rows = []
        self.missed = 0

    def _judge(self, what, value, limit, at_most=True, unit="", basis="", rounds=(), error=0):
        """By the middle of the rounds; where single rounds say otherwise, that is said. error: what the figure may be off by."""
        def meets(one):
            return one <= limit if at_most else one >= limit

        met = meets(value)
        verdict = "met" if met else "MISSED"
        if not met and abs(value - limit) <= error:
            met, verdict = True, f"equal: the error is ±{number(error)}"
        elif any(meets(one) != met for one in rounds):
            verdict += ", not in each round" if met else ", met in some rounds"
        self.missed += not met
        sign = "at most" if at_most else "at least"
        self.rows.append([what, f"{number(value)}{unit}", f"{sign} {number(limit)}{unit}{basis}", verdict])

    def _ratio(self, section, case, reference, metric, limit, at_most=True):
        """The median of the rounds' ratios."""
        ratios = self.results.ratios(section, case, "headgate", reference, metric)
        if ratios:
            self._judge(f"{section}, {case}: {metric}", median(ratios), limit, at_most, " x", f" {reference}'s", ratios)

    def _no_worse(self, case, metric, at_most=True):
        """The mean of many rounds' ratios in turns, within twice its standard error, which must be small for that."""
        ratios = self.results.ratios("turns", case, "headgate", SESSION, metric)
        if len(ratios) > 2:
            error = 2 * stdev(ratios) / len(ratios) ** 0.5
            self._judge(f"turns, {case}: {metric}", sum(ratios) / len(ratios), 1, at_most, " x", f" {SESSION}'s", ratios,
                        error if error <= MOST_ERROR else 0)

    def _figure(self, section, case, metric, limit, at_most=True, unit=""):
        values = self.results.values(section, case, "headgate", metric)
        if values:
            # Counts that must be zero are held to their worst round, others to their middle one.
            value = max(values) if limit == 0 else self.results.median(section, case, "headgate", metric)
            self._judge(f"{section}, {case}: {metric}", value, limit, at_most, unit, "", values if limit else ())

    def judge(self):
        # In turns is by far the steadier measure. There both have the same server, so who adds less has the lower latency.
        for case in self.results.cases("turns"):
            self._no_worse(case, "proxy CPU per transaction")
            self._no_worse(case, "TPS", at_most=False)
            self._no_worse(case, "mean latency")
        for case in [] if self.results.cases("turns") else self.results.cases("pgbench"):
            self._ratio("pgbench", case, SESSION, "proxy CPU per transaction", 1)
            self._ratio("pgbench", case, SESSION, "TPS", 1, at_most=False)
            self._added_latency(case)
        for case in self.results.cases("copy"):
            self._ratio("copy", case, SESSION, "proxy CPU per GB", 0.5)
            self._ratio("copy", case, "haproxy", "proxy CPU per GB", 1.15)
        self._figure("memory", "plain", "resident memory per session", 2, unit=" KiB")
        self._ratio("memory", "TLS", SESSION, "resident memory per session", 1)
        for protocol, limit in (("simple", 2000), ("extended", 3000), ("prepared", 3000)):
            self._figure("instructions", protocol, "instructions per transaction", limit)
            for group in ("receives", "sends", "waits"):
                self._figure("syscalls", protocol, group, 2.05)
        for case in migrate.LIMITED:
            self._ratio("migrate", case, "direct", "time", 1.5)
        self._figure("migrate", migrate.READ, "time", 1, unit=" s")
        self._figure("refuse", "wrong head", "refusals per second of CPU", 10000, at_most=False)
        self._figure("refuse", "wrong head", "server sessions made", 0)
        self._figure("refuse", "wrong head", "ended otherwise", 0)
        self._ratio("hold", "64 busy", TRANSACTION, "hold answered after", 0.25)
        self._ratio("hold", "64 busy", TRANSACTION, "release to every client", 0.5)
        for case in self.results.cases("hold"):
            if case.startswith("1000"):
                self._figure("hold", case, "release to every client", 100, unit=" ms")
            for metric in ("errors", "wrong answers", "clients never answered", "answers during the hold",
                           "queries at the server during the hold"):
                self._figure("hold", case, metric, 0)

    def _added_latency(self, case):
        direct = self.results.median("pgbench", case, "direct", "mean latency")
        ours = self.results.median("pgbench", case, "headgate", "mean latency")
        theirs = self.results.median("pgbench", case, SESSION, "mean latency")
        if None not in (direct, ours, theirs):
            self._judge(f"pgbench, {case}: latency added to direct", ours - direct, theirs - direct, True, " ms",
                        f" ({SESSION}'s)")

    def text(self):
        if not self.rows:
            return ""
        return ("### What headgate has to show\n\n" + markdown(["target", "headgate", "limit", ""], self.rows)
                + f"\n{len(self.rows) - self.missed} of {len(self.rows)} met.\n")
