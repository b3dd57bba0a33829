"""A folder in which migration commands are run as a person would run them."""

import json
import os
import subprocess

from . import place
from .headgate import SANITIZER, binary


class Said:
    """How a command ended, and what it said."""

    def __init__(self, done):
        self.status, self.out, self.err = done.returncode, done.stdout, done.stderr

    def __repr__(self):
        return f"exit {self.status}\n{self.out}{self.err}"


class Project:
    """With `url`, its $DATABASE_URL; with `config`, its $HEADGATE_CONFIG."""

    def __init__(self, url=None, config=None, name="project"):
        self.base = place.folder(name)
        self.env = {key: value for key, value in os.environ.items() if key not in ("HEADGATE_CONFIG", "DATABASE_URL")}
        self.env.update({"ASAN_OPTIONS": "detect_leaks=1:exitcode=99", "UBSAN_OPTIONS": "halt_on_error=1:exitcode=99"})
        if url:
            self.env["DATABASE_URL"] = url
        if config:
            self.env["HEADGATE_CONFIG"] = config

    def path(self, *parts):
        return os.path.join(self.base, *parts)

    def write(self, name, text, folder="migrations"):
        path = self.path(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(text)
        return path

    def migration(self, revision, up, down=None, header="", options="", slug="change", down_options="", folder="migrations"):
        """One file of the native format."""
        text = header + f"-- migrate:up{options}\n{up}\n" + ("" if down is None else f"-- migrate:down{down_options}\n{down}\n")
        return self.write(f"{revision}_{slug}.sql", text, folder)

    def said(self, *words, timeout=60, **env):
        """One command to its end, however it ends."""
        done = subprocess.run([binary(), *words], cwd=self.base, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, errors="surrogateescape", timeout=timeout,
                              env={key: value for key, value in {**self.env, **env}.items() if value is not None})
        assert not SANITIZER.search(done.stderr), done.stderr
        return Said(done)

    def run(self, *words, status=0, **more):
        """One command that must end so: what it said."""
        said = self.said(*words, **more)
        assert said.status == status, f"headgate {' '.join(words)}: {said}"
        return said

    def json(self, *words, status=0, **more):
        return json.loads(self.run(*words, "--json", status=status, **more).out)

    def events(self, *words, status=0, **more):
        """The JSON lines of a run; the last one is its result."""
        return [json.loads(line) for line in self.run(*words, "--json", status=status, **more).out.splitlines()]

    def spawn(self, *words, **env):
        """One command in the background, its output by pipes."""
        return subprocess.Popen([binary(), *words], cwd=self.base, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, errors="replace", env={**self.env, **env},
                                start_new_session=True, preexec_fn=place.die_with_parent)
