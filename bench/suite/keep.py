"""Puts a run's tables between the marks of bench/README.md: keep.py README TABLES."""

import sys

BEGIN, END = "<!-- tables: begin -->\n", "<!-- tables: end -->"


def main(readme, tables):
    with open(readme, encoding="utf-8") as file:
        before, _, rest = file.read().partition(BEGIN)
    after = rest.partition(END)[2]
    if not rest or not rest.count(END):
        sys.exit(f"{readme}: the marks for the tables are missing")
    with open(tables, encoding="utf-8") as file:
        text = file.read()
    with open(readme, "w", encoding="utf-8") as file:
        file.write(before + BEGIN + "\n" + text + "\n" + END + after)


main(*sys.argv[1:])
