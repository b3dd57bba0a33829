#!/usr/bin/env python3
"""The floors test: a file includes from its own room and from floors below, and outside libraries have one owner each."""
import pathlib
import re
import sys

BELOW = {"base": "", "gate": "base", "proto": "base", "net": "base proto", "client": "base gate proto net",
         "schema": "base gate net", "ctl": "base gate proto net client schema"}
PURE = {"gate", "proto"}
OWNERS = {r"libpq-fe\.h|pg_config.*\.h": {"proxy/net/pq*.[ch]"}, r"openssl/.*": {"proxy/net/tls*.[ch]", "proxy/net/stream.c"},
          r"yaml\.h": {"proxy/base/conf*.[ch]"}}
IO = re.compile(r"event2/.*|sys/(socket|epoll|un|select)\.h|poll\.h|netinet/.*|arpa/.*|netdb\.h|pthread\.h")

top = pathlib.Path(__file__).resolve().parents[2]
wrong = []
files = [p for d in ("proxy", "include") for p in sorted((top / d).rglob("*.[ch]"))]
for path in files:
    name = path.relative_to(top)
    room = name.parts[1]
    for number, line in enumerate(path.read_text().splitlines(), 1):
        found = re.match(r'\s*#\s*include\s*[<"]([^>"]+)', line)
        if not found or len(name.parts) < 3:  # proxy/main.c builds the house and may open every door
            continue
        what, to = found[1], found[1].split("/")[0]
        if to in BELOW and to != room and to not in BELOW[room].split():
            wrong.append(f"{name}:{number}: {room} may not include {what}")
        if room in PURE and IO.fullmatch(what):
            wrong.append(f"{name}:{number}: {room} is pure, {what} is I/O")
        for library, owners in OWNERS.items():
            if re.fullmatch(library, what) and not any(name.match(owner) for owner in owners):
                wrong.append(f"{name}:{number}: {what} belongs to {', '.join(sorted(owners))}")
print("\n".join(wrong) or f"floors: {len(files)} files in order")
sys.exit(bool(wrong) or len(files) < 10)
