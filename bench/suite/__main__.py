"""bench/run.sh calls this as an ordinary user: arguments, the sections one after another, what they wrote."""

import argparse
import os
import platform
import shutil
import signal
import sys
import time

from . import counting, memory, migrate, pgbench, plot, traffic, turns, variants
from .children import Failure
from .rig import Rig
from .targets import Targets

# name: (title, what runs it, the variant that ratios are to, metrics without ratios (None: one table of all), do the variants come started?)
SECTIONS = {
    "pgbench": ("pgbench -S: transactions", pgbench.throughput, "pgbouncer-session",
                ("99% latency",), True),
    "turns": ("pgbench -S: headgate and PgBouncer in turns", turns.turns, "pgbouncer-session",
               ("99% latency",), True),
    "connect": ("Connections (pgbench -C: connect, one query, close)", pgbench.connect, "pgbouncer-session",
                ("mean latency", "99% latency"), True),
    "tls": ("TLS clients (HAProxy passes TLS through to the server)", pgbench.tls, "pgbouncer-session",
            ("99% latency",), True),
    "copy": ("COPY", traffic.copy, "pgbouncer-session", (), True),
    "hold": ("Hold and release (PgBouncer: PAUSE and RESUME)", traffic.hold, "pgbouncer-transaction", None, True),
    "refuse": ("Refusals of clients with the wrong head", traffic.refuse, None, None, True),
    "memory": (f"Memory of {memory.SESSIONS:,} idle sessions", memory.memory, "pgbouncer-session", None, False),
    "syscalls": ("System calls per transaction", counting.syscalls, None, None, False),
    "instructions": ("User-space instructions (callgrind)", counting.instructions, "pgbouncer-session", (), False),
    "migrate": (f"{migrate.FILES:,} migrations (direct: psql)", migrate.migrate, "direct", None, False),
}


def numbers(text):
    return [int(word) for word in text.split(",")]


def words(text):
    return text.split(",")


def arguments(argv):
    parser = argparse.ArgumentParser(
        prog="bench/run.sh", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Measures headgate beside PgBouncer, HAProxy and a direct connection.",
        epilog="sections: " + ", ".join(SECTIONS) + "\n          quick: all of them, small and short; none named: all of them\n"
               "also:     --headgate PATH (or HEADGATE=PATH; \"none\": peers only)   --out FOLDER   --keep (tables into bench/README.md)")
    parser.add_argument("sections", nargs="*", metavar="SECTION")
    parser.add_argument("--rounds", type=int, help="how often everything is repeated, variants in turn (3; quick: 1)")
    parser.add_argument("--seconds", type=int, help="of each measured stretch (2; quick: 1)")
    parser.add_argument("--clients", type=numbers, help="of sections pgbench and turns (1,8,64,256; quick: 1,64)")
    parser.add_argument("--protocols", type=words, default=["simple", "extended", "prepared"], help="simple,extended,prepared")
    parser.add_argument("--variants", type=words, default=variants.NAMES, help=",".join(variants.NAMES))
    parser.add_argument("--upstream", choices=("tcp", "unix"), default="tcp", help="how proxies reach PostgreSQL (tcp)")
    parser.add_argument("--free", action="store_true", help="let one client, proxy and server run on any core, not all on one")
    parser.add_argument("--traced-clients", type=int, default=1, help="of sections instructions and syscalls (1)")
    parser.add_argument("--txn-pool", type=int, default=20, help="pool size in transaction mode (20, as PgBouncer ships)")
    parser.add_argument("--scale", type=int, default=10, help="of pgbench's tables (10: a million rows)")
    parser.add_argument("--pgbouncer", default=shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/sbin:/bin"), help="another binary")
    parser.add_argument("--haproxy", default=shutil.which("haproxy", path="/usr/sbin:/usr/bin:/sbin:/bin"), help="another binary")
    parser.add_argument("--check", action="store_true", help="exit with 3 when headgate misses a target")
    for internal in ("--headgate-copy", "--work", "--out-folder", "--tools"):
        parser.add_argument(internal, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    options.quick = "quick" in options.sections
    named = [name for name in options.sections if name != "quick"]
    for name in named:
        if name not in SECTIONS:
            parser.error(f"no section '{name}' (there are: quick, {', '.join(SECTIONS)})")
    options.sections = named or list(SECTIONS)
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.seconds = options.seconds or (1 if options.quick else 2)
    options.clients = options.clients or ([1, 64] if options.quick else [1, 8, 64, 256])
    options.headgate = options.headgate_copy
    options.out = options.out_folder
    return options


def machine():
    model = "unknown processor"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    kib = int(open("/proc/meminfo", encoding="ascii").readline().split()[1])
    system = platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    return f"{os.cpu_count()} cores ({model}), {kib / 1048576:.0f} GiB, {system}, kernel {platform.release()}"


def heading(rig):
    options = rig.options
    versions = dict.fromkeys(variant.version() for variant in variants.make(rig, options.variants))
    return (f"{time.strftime('%Y-%m-%d')}; {machine()}; load before: {options.load:.1f}.\n{'; '.join(filter(None, versions))}.\n"
            f"{options.rounds} round{'s' if options.rounds > 1 else ''} of {options.seconds} s, upstream by {options.upstream}. "
            "A cell is the median (least–most) of the rounds;\na ratio is taken within each round.\n")


def run_section(rig, name):
    title, measure, ratio_to, no_ratio, started = SECTIONS[name]
    rig.say(f"== {title}")
    if started:
        running = rig.started_variants(variants.make)
    else:
        running = variants.make(rig, rig.options.variants)
    try:
        measure(rig, running)
    finally:
        for variant in running:
            variant.stop()
    text = rig.results.section_text(name, title, ratio_to, no_ratio) if rig.results.cases(name) else ""
    if text:
        print("\n" + text, flush=True)
    return text


def write_all(rig, head, texts):
    verdict = Targets(rig.results)
    verdict.judge()
    with open(os.path.join(rig.out, "tables.md"), "w", encoding="utf-8") as file:
        file.write("\n".join(filter(None, [head, verdict.text(), *texts])))
    rig.results.write_csv(os.path.join(rig.out, "results.csv"))
    plot.write(rig.results, os.path.join(rig.out, "plot.svg"), "headgate and its peers, " + time.strftime("%Y-%m-%d"))
    if verdict.rows:
        print("\n" + verdict.text(), flush=True)
    return verdict


def leave(number, frame):
    del number, frame
    raise KeyboardInterrupt


def main(argv):
    options = arguments(argv)
    options.load = os.getloadavg()[0]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)
    rig = Rig(options)
    texts, failed = [], False
    try:
        rig.open()
        head = heading(rig)
        print(head, flush=True)
        for name in options.sections:
            try:
                texts.append(run_section(rig, name))
            except Failure as failure:
                failed = True
                rig.say(f"section {name} failed: {failure}")
        verdict = write_all(rig, head, texts)
        rig.say("done")
    except Failure as failure:
        print(f"bench: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        rig.say("interrupted")
        return 130
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        rig.close()
    if failed or any(text.startswith("FAILED") for _, text in rig.results.notes):
        return 1
    return 3 if options.check and verdict.missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
