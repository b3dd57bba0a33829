"""Sections copy, refuse and hold: what the C load tools measure."""

from .children import Failure

# Narrow rows keep PostgreSQL busy, so the stream trickles; wide ones come as fast as the proxy takes them. Nothing is kept of what goes in.
COPY_IN = "COPY sink FROM STDIN WHERE false"
COPY = {"out, 97-byte rows": ("out", "COPY pgbench_accounts TO STDOUT", 97), "in, 97-byte rows": ("in", COPY_IN, 97),
        "out, 4000-byte rows": ("out", "COPY wide TO STDOUT", 4000), "in, 4000-byte rows": ("in", COPY_IN, 4000)}
WRONG_HEAD = "-c headgate.head=bench0"
REFUSED = "55000"


def copy(rig, variants):
    for number, order in rig.interleaved(variants):
        for case, (way, sql, width) in COPY.items():
            for variant in order:
                before = variant.child.cpu() if variant.child else 0
                answer = rig.tool("copy", variant.host, variant.port, rig.cluster.user, rig.cluster.database, variant.options,
                                  way, rig.options.seconds, sql, width)
                cpu = variant.child.cpu() - before if variant.child else None
                rate = answer["bytes"] / answer["seconds"] / 1e6
                rig.results.add("copy", case, variant.name, "throughput", "MB/s", number, rate)
                if cpu is not None:
                    rig.results.add("copy", case, variant.name, "proxy CPU per GB", "s", number, cpu / answer["bytes"] * 1e9)
                shown = "" if cpu is None else f", {cpu / answer['bytes'] * 1e9:.2f} s CPU per GB"
                rig.say(f"copy {number + 1}/{rig.options.rounds}  {case:19s} {variant.name:22s} {rate:7.0f} MB/s{shown}")


def refuse(rig, variants):
    """Only headgate knows heads. The sessions that PostgreSQL had meanwhile are counted: there must be none."""
    for number in range(rig.options.rounds):
        for variant in [variant for variant in variants if variant.name == "headgate"]:
            sessions = rig.cluster.sessions()
            before = variant.child.cpu()
            answer = rig.tool("refuse", variant.host, variant.port, rig.cluster.user, rig.cluster.database, WRONG_HEAD, 64,
                              rig.options.seconds, REFUSED)
            cpu = variant.child.cpu() - before
            sessions = rig.cluster.sessions() - sessions
            add = rig.results.add
            add("refuse", "wrong head", variant.name, "refusals", "1/s", number, answer["refused"] / answer["seconds"])
            add("refuse", "wrong head", variant.name, "refusals per second of CPU", "1/s", number,
                answer["refused"] / cpu if cpu else float("nan"))
            add("refuse", "wrong head", variant.name, "ended otherwise", "count", number, answer["other"])
            add("refuse", "wrong head", variant.name, "server sessions made", "count", number, sessions)
            rig.results.note("refuse", f"The answer: `{answer['said'].strip()}`")
            rig.say(f"refuse {number + 1}/{rig.options.rounds}  {answer['refused'] / answer['seconds']:.0f} a second, "
                    f"{answer['other']} otherwise, {sessions} server sessions: {answer['said']}")


HOLD_METRICS = [
    ("tps", "TPS before", "1/s"), ("latency_ms", "mean latency before", "ms"), ("hold_ms", "hold answered after", "ms"),
    ("first_ms", "release to first answer", "ms"), ("median_ms", "release to half of the clients", "ms"),
    ("all_ms", "release to every client", "ms"), ("errors", "errors", "count"), ("wrong", "wrong answers", "count"),
    ("in_hold", "answers during the hold", "count"), ("reached", "queries at the server during the hold", "count"),
]


def _hold_plan(rig, variant, clients, think_ms, hold_ms):
    cluster = rig.cluster
    return {
        "host": variant.host, "port": variant.port, "user": cluster.user, "database": cluster.database,
        "options": variant.options, **variant.console, "witness": "127.0.0.1", "witness_port": cluster.port, "witness_user": "control",
        "clients": clients, "think_ms": think_ms, "warm_ms": 800, "hold_ms": hold_ms, "after_ms": 200, "rows": cluster.rows}


def hold(rig, variants):
    """headgate's HOLD and RELEASE beside PgBouncer's PAUSE and RESUME; session pooling cannot be paused with clients connected.
    Direct clients hold themselves and then ask all at once: what PostgreSQL and the machine take without any proxy.
    The short case comes eight times a round, since PAUSE is quick or slow by luck."""
    sizes = {"64 busy": (64, 0, 500, 2 if rig.options.quick else 8), "1000 at ease": (1000, 250, 2000, 1), "1000 busy": (1000, 0, 2000, 1)}
    variants = [variant for variant in variants if variant.name in ("direct", "headgate", "pgbouncer-transaction")]
    if not variants:
        return
    for number, order in rig.interleaved(variants):
        for case, (clients, think, length, times) in sizes.items():
            if rig.options.quick and case == "1000 busy":
                continue
            for again in range(times):
                for variant in order:
                    try:
                        _hold_once(rig, variant, case, number * times + again, _hold_plan(rig, variant, clients, think, length))
                    except Failure as failure:
                        rig.say(str(failure))
                        rig.results.note("hold", f"FAILED: {case}, {variant.name}: {failure}")


def _hold_once(rig, variant, case, number, plan):
    rig.cluster.renew_backends()
    answer = rig.tool("hold", *(f"{key}={value}" for key, value in plan.items()))
    for key, metric, unit in HOLD_METRICS:
        rig.results.add("hold", case, variant.name, metric, unit, number, answer[key])
    missing = plan["clients"] - answer["answered"]
    rig.results.add("hold", case, variant.name, "clients never answered", "count", number, missing)
    if answer["trouble"]:
        rig.results.note("hold", f"{case}, {variant.name}: `{answer['trouble']}`")
    rig.say(f"hold {number + 1}  {case:12s} {variant.name:22s} {answer['tps']:.0f} tps, "
            f"{answer['held_tag']} after {answer['hold_ms']:.1f} ms; "
            f"released: first {answer['first_ms']:.1f}, all {answer['all_ms']:.1f} ms; {answer['errors']} errors, "
            f"{answer['wrong']} wrong, {missing} unanswered, {answer['in_hold']}+{answer['reached']} in the hold")
