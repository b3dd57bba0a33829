"""What every section works with: options, folders, the cluster, the started programs, the results."""

import json
import os
import pwd
import subprocess
import sys
import time

from .children import Failure, Nursery
from .cluster import Cluster
from .results import Results


class Rig:
    def __init__(self, options):
        self.options = options
        self.folder = os.path.join(options.work, "run")
        self.out = options.out
        os.makedirs(self.folder, exist_ok=True)
        os.makedirs(self.out, exist_ok=True)
        for name in [name for name in os.environ if name.startswith("PG")]:
            del os.environ[name]
        self.os_user = pwd.getpwuid(os.getuid()).pw_name
        self.nursery = Nursery(self.folder)
        self.results = Results()
        self.started = time.monotonic()
        self.cluster = None
        self._ready = set()

    def open(self):
        self.say("making a PostgreSQL cluster")
        self.cluster = Cluster(self.nursery, self.folder, self.options.scale)

    def close(self):
        self.nursery.end_all()

    def say(self, text):
        seconds = int(time.monotonic() - self.started)
        print(f"[{seconds // 60:2d}:{seconds % 60:02d}] {text}", file=sys.stderr, flush=True)

    def started_variants(self, make):
        """Starts the variants that `make` returns."""
        variants = make(self, self.options.variants)
        for variant in variants:
            if variant.name == "headgate" and "headgate" not in self._ready:
                variant.init()
                self._ready.add("headgate")
            variant.start()
        return variants

    def interleaved(self, variants):
        """(round, variants in that round's order): each round begins with another one."""
        for number in range(self.options.rounds):
            shift = number % len(variants)
            yield number, variants[shift:] + variants[:shift]

    def tool(self, name, *arguments):
        """Runs one of the C load tools; its JSON answer."""
        done = subprocess.run([os.path.join(self.options.tools, name), *map(str, arguments)],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            raise Failure(f"{name}: {done.stderr.strip()}")
        return json.loads(done.stdout)
