#!/usr/bin/env python3
"""The manual pages and README.md say what the program does: subcommands and their options, settings with their defaults, console
commands with their columns, states, errors and exit codes, each read from the table in the code that makes it so. Where a
formatter is installed (mandoc, else man), the pages have no fault of form either."""
import pathlib
import re
import shutil
import subprocess
import sys

top = pathlib.Path(__file__).resolve().parents[2]
wrong = []


def text(name):
    return (top / name).read_text()


def complain(page, what):
    wrong.append(f"{page}: {what}")


def both_ways(page, told, real, kind):
    """The page names all that there is, and nothing that is not."""
    if not real:
        complain(page, f"this test finds no {kind} in the code any more")
    for name in sorted(real - told):
        complain(page, f"does not name the {kind} {name}")
    for name in sorted(told - real):
        complain(page, f"names the {kind} {name}, which does not exist")


def part(page, macro, title):
    """What stands under a heading, up to the next one of its kind or above."""
    found = re.search(rf"^\.{macro} {re.escape(title)}\n(.*?)(?=^\.S{'[hs]' if macro == 'Ss' else 'h'} |\Z)", text(page), re.M | re.S)
    return found[1] if found else ""


def items(body):
    """The entries of a list: (the .It line's words, what follows it)."""
    return re.findall(r"^\.It ?([^\n]*)\n(.*?)(?=^\.It|^\.Sh|^\.Ss|\Z)", body, re.M | re.S)


# Subcommands and their options.
PAGE = "conf/man/headgate.1"
subcommands = set(re.findall(r'^    \{"(\w+)", cmd_', text("proxy/ctl/cli.c"), re.M))
both_ways(PAGE, set(re.findall(r"^\.Ss (\w+)$", part(PAGE, "Sh", "COMMANDS"), re.M)), subcommands, "subcommand")
options = {name: set() for name in subcommands}


def tables(source):
    """The option tables of a source: place, names. Of getopt_long()'s kind, and of options.h's."""
    for table in re.finditer(r"static const struct option \w+\[\] = \{(.*?)\n\t\};", source, re.S):
        yield table.start(), set(re.findall(r'\{"([\w-]+)", (?:no|required)_argument', table[1]))
    for table in re.finditer(r"const struct command_option \w+\[\] = \{(.*?)\n\t*\};", source, re.S):
        names = set(re.findall(r'\.name = "([\w-]+)"', table[1]))
        yield table.start(), names | {"help"}


# What every command that begins with migrate_open() takes besides its own.
shared = set().union(*(names for _, names in tables(text("proxy/ctl/migrate.c")))) - {"verbose"}
about_runs = set().union(*(names for _, names in tables(text("proxy/ctl/conducting.c"))))
for path in sorted((top / "proxy/ctl").glob("*.c")):
    source = path.read_text()
    commands = [(m.start(), m[1]) for m in re.finditer(r"^int cmd_(\w+)\(int argc", source, re.M)]
    if not commands:
        continue
    for place, names in tables(source):
        # In the command's function, or in one that stands before it; before the first one of options.h's are for all in the file.
        before = [name for at, name in commands if at < place]
        both = "command_option" in source[place:place + 30]
        for owner in before[-1:] or [name for _, name in commands[:None if both else 1]]:
            options.setdefault(owner, set()).update(names)
    for use in re.finditer(r"\b(migrate_open|conducting_begin)\(", source):
        before = [name for at, name in commands if at < use.start()]
        verbose = {"verbose"} if ".verbose_too = true" in source else set()
        for owner in before[-1:] or [name for _, name in commands]:
            options.setdefault(owner, set()).update(shared | verbose if use[1] == "migrate_open" else about_runs)
shared_told = set(re.findall(r"^\.It .*?Fl -([\w-]+)", part(PAGE, "Sh", "OPTIONS OF ALL MIGRATION COMMANDS"), re.M))
both_ways(PAGE, shared_told, shared, "option of all migration commands")
for name in subcommands:
    elsewhere = shared if shared <= options[name] else set()  # told in one place for all; a command may say more
    real = options[name] - elsewhere
    told = set(re.findall(r"^\.It .*?Fl -([\w-]+)", part(PAGE, "Ss", name), re.M)) - elsewhere
    if name not in ("help", "version") and (real or told or not elsewhere):
        both_ways(PAGE, told, real, f"option of {name}")

# Exit codes, and what clients are told.
codes = set(re.findall(r"CLI_\w+ = (\d+)", text("include/ctl/cli.h")))
both_ways(PAGE, {words.split()[1] for words, _ in items(part(PAGE, "Sh", "EXIT STATUS"))}, codes, "exit code")
reasons = re.findall(r'^REASON\(\w+, "[^"]*", "(\w*)", \w+, "([^"]*)"\)', text("include/client/reasons.def"), re.M)
told = {words.replace("Li ", "").replace("Dq ", "") for words, _ in items(part(PAGE, "Sh", "WHAT CLIENTS ARE TOLD"))}
both_ways(PAGE, told - {"57014"}, {f"{state} {what}" for state, what in reasons if state}, "error")
if "57014" not in told:
    complain(PAGE, "does not tell of 57014")

# Settings and their defaults.
PAGE = "conf/man/headgate.yaml.5"
settings = re.findall(r'^(ROOT|LISTEN|DATABASE)\("([\w.]+)",[^"]*?\n\t("(?:[^"]*)"|MUST|NULL),', text("proxy/base/conf.def"), re.M)
keys = {key for _, key, _ in settings}
if len(settings) != len(re.findall(r'^(?:ROOT|LISTEN|DATABASE)\("', text("proxy/base/conf.def"), re.M)):
    complain(PAGE, "this test does not read all rows of conf.def any more")
for whose, title in (("ROOT", "GLOBAL SETTINGS"), ("LISTEN", "LISTENERS"), ("DATABASE", "DATABASES")):
    told = {words.split()[1]: words for words, _ in items(part(PAGE, "Sh", title))}
    real = {key: standard for section, key, standard in settings if section == whose}
    both_ways(PAGE, set(told), set(real), f"setting under {title}")
    for key in set(told) & set(real):
        said = re.search(r' Pq "?(.*?)"?$', told[key])
        expected = {"MUST": "required", "NULL": None}.get(real[key], real[key].strip('"'))
        if (said[1] if said else None) != expected:
            complain(PAGE, f"{key}: the default is {expected}, the page says {said[1] if said else None}")

# The console: commands, columns, states.
PAGE = "conf/man/headgate-console.7"
rows = re.findall(r'^COMMAND\(\w+, "([^"]*)", \w+,\s*"([^"]*)"', text("proxy/ctl/console_commands.def"), re.M)
told = {}
for words, body in items(part(PAGE, "Sh", "COMMANDS")):
    name = re.match(r"Ic ((?:[A-Z]+ ?)+?)(?= [A-Z][a-z]|$)", words)
    told[name[1] if name else words] = (words, body)
both_ways(PAGE, set(told), {name for name, _ in rows}, "console command")
for name, synopsis in rows:
    missing = {word for word in re.findall(r"[A-Z]{2,}", synopsis) if name in told and not re.search(rf"\b{word}\b", told[name][0])}
    if missing:
        complain(PAGE, f"{name}: the synopsis lacks {', '.join(sorted(missing))}")
columns = {f"SHOW {name.upper()}": re.findall(r'"(\w+)"', names) for name, names in
           re.findall(r"^static const char \*const (\w+)_columns\[\] = \{(.*?)\};", text("proxy/ctl/console_show.c"), re.M | re.S)}
for order in ("HOLD", "RELEASE", "UPGRADE"):
    columns[order] = columns.pop(f"SHOW {order}", [])
runs = re.search(r"link_runs_names\[[^]]*\] = \{(.*?)\};", text("proxy/schema/link.c"), re.S)
columns["SHOW RUNS"] = ["database", *re.findall(r'"(\w+)"', runs[1] if runs else "")]
for name, real in columns.items():
    both_ways(PAGE, set(re.findall(r"^\.Va (\w+)", told.get(name, ("", ""))[1], re.M)), set(real), f"column of {name}")
states = set(re.findall(r'^STATE\(\w+, "(\w+)"', text("include/client/states.def"), re.M))
both_ways(PAGE, {words.split()[1] for words, _ in items(part(PAGE, "Sh", "STATES"))}, states, "state")

# README.md: its commands, options, settings and files exist.
PAGE = "README.md"
readme = text(PAGE)
code = "\n".join(re.findall(r"^ {4}[^\n]*|`[^`\n]+`|^```.*?^```", readme, re.M | re.S))
used = re.findall(r"(?<![\w/.=-])headgate +([a-z]+)\b([^#`\n]*)", code)
if len(used) < 5:
    complain(PAGE, "this test finds no commands in it any more")
for name, rest in used:
    if name not in subcommands:
        complain(PAGE, f"headgate {name}: there is no such command")
    for option in re.findall(r"(?<=\s)--([a-z][\w-]*)", rest.split(" -- ")[0]):
        if option not in options.get(name, set()):
            complain(PAGE, f"headgate {name} --{option}: there is no such option")
maps = {key.rsplit(".", depth)[0] for key in keys for depth in range(1, key.count(".") + 1)}
for word in set(re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)`", readme)):
    if word.split(".")[0] in maps and word not in keys | maps:
        complain(PAGE, f"{word}: there is no such setting")
for _, state in re.findall(r"^\| *(`?)([0-9A-Z]{5})\1 *\|", readme, re.M):
    if state not in {s for s, _ in reasons} | {"57014"}:
        complain(PAGE, f"SQLSTATE {state}: no error has it")
for path in set(re.findall(r"\]\(([^)#:]+)\)", readme) + re.findall(r"\bbash +([\w./-]+)", code)
                + re.findall(r"`((?:bench|conf|include|migrations|proxy|tests)/[\w./-]*)`", readme)):
    if not (top / path).exists():
        complain(PAGE, f"{path}: there is no such file")

# Form.
pages = sorted((top / "conf/man").iterdir())
formatter = ["mandoc", "-T", "lint", "-W", "warning"] if shutil.which("mandoc") else \
    ["man", "--warnings", "-E", "UTF-8", "-l"] if shutil.which("man") else None
for page in pages if formatter else []:
    done = subprocess.run([*formatter, page], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said = done.stderr + (done.stdout if formatter[0] == "mandoc" else "")
    if said or done.returncode:
        complain(page.relative_to(top), f"{formatter[0]}: {said.strip() or done.returncode}")

print("\n".join(wrong) or f"docs: {len(subcommands)} subcommands, {len(keys)} settings, {len(rows)} console commands, {len(reasons)} reasons; "
      f"{len(pages)} pages looked at with {formatter[0] if formatter else 'no formatter: install mandoc'}")
sys.exit(bool(wrong))
