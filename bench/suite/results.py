"""What was measured: values by section, case, variant, metric and round; their tables and their CSV."""

import csv
from statistics import median


def number(value):
    """Three significant digits where there is something after the point."""
    if value != value:
        return "?"
    size = abs(value)
    if size >= 99.95:
        return f"{value:,.0f}"
    if size >= 9.995:
        return f"{value:.1f}"
    if value == round(value):
        return f"{value:.0f}"
    return f"{value:.2f}" if size >= 0.1 else f"{value:.3f}"


def spread(values):
    """median (min-max), or the one value."""
    if not values:
        return "-"
    middle, low, high = number(median(values)), number(min(values)), number(max(values))
    return middle if low == high else f"{middle} ({low}–{high})"


def markdown(header, rows):
    """A table that is aligned for the terminal too: first column left, others right."""
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]

    def line(cells):
        return "| " + " | ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(cells, widths))) + " |"

    rule = "|" + "|".join("-" * (width + 2) if column == 0 else "-" * (width + 1) + ":"
                          for column, width in enumerate(widths)) + "|"
    return "\n".join([line(header), rule, *map(line, rows)]) + "\n"


class Results:
    def __init__(self):
        self.rows = []    # (section, case, variant, metric, unit, round, value)
        self.notes = []   # (section, text)
        self._values = {}

    def add(self, section, case, variant, metric, unit, round_number, value):
        self.rows.append((section, case, variant, metric, unit, round_number, value))
        self._values.setdefault((section, case, variant, metric), {})[round_number] = value

    def note(self, section, text):
        if (section, text) not in self.notes:
            self.notes.append((section, text))

    def values(self, section, case, variant, metric):
        return list(self._values.get((section, case, variant, metric), {}).values())

    def median(self, section, case, variant, metric):
        values = self.values(section, case, variant, metric)
        return median(values) if values else None

    def ratios(self, section, case, variant, reference, metric):
        """Round by round, so that what slowed a whole round cancels out."""
        ours = self._values.get((section, case, variant, metric), {})
        theirs = self._values.get((section, case, reference, metric), {})
        return [ours[key] / theirs[key] for key in ours if theirs.get(key)]

    def _distinct(self, section, column):
        return list(dict.fromkeys(row[column] for row in self.rows if row[0] == section))

    def cases(self, section):
        return self._distinct(section, 1)

    def variants(self, section):
        order = ["direct", "headgate", "pgbouncer-session", "pgbouncer-transaction", "haproxy"]
        return sorted(self._distinct(section, 2), key=order.index)

    def metrics(self, section):
        return list(dict.fromkeys((row[3], row[4]) for row in self.rows if row[0] == section))

    def table(self, section, metric, unit, ratio_to=None):
        """One metric: a row a case, a column a variant; with ratio_to a second table of ratios to that variant."""
        cases = [case for case in self.cases(section)
                 if any(self.values(section, case, variant, metric) for variant in self.variants(section))]
        variants = [variant for variant in self.variants(section)
                    if any(self.values(section, case, variant, metric) for case in cases)]
        text = markdown([f"{metric} [{unit}]", *variants],
                        [[case, *(spread(self.values(section, case, variant, metric)) for variant in variants)]
                         for case in cases])
        others = [variant for variant in variants if variant not in (ratio_to, "direct")]
        if ratio_to in variants and others:
            text += "\n" + markdown(
                [f"{metric}, times {ratio_to}'s", *others],
                [[case, *(spread(self.ratios(section, case, variant, ratio_to, metric)) for variant in others)]
                 for case in cases])
        return text

    def table_of_cases(self, section, ratio_to=None):
        """A row a case and metric, a column a variant; last, headgate's ratio to ratio_to."""
        variants = self.variants(section)
        compare = "headgate" in variants and ratio_to in variants
        rows = []
        for case in self.cases(section):
            for metric, unit in self.metrics(section):
                cells = [spread(self.values(section, case, variant, metric)) for variant in variants]
                if metric.startswith("-") or set(cells) == {"-"}:
                    continue
                if compare:
                    cells.append(spread(self.ratios(section, case, "headgate", ratio_to, metric)))
                rows.append([f"{case}: {metric} [{unit}]", *cells])
        return markdown(["", *variants, *([f"headgate / {ratio_to}"] if compare else [])], rows)

    def section_text(self, section, title, ratio_to, no_ratio=()):
        """Metrics that begin with a dash are for the CSV alone. no_ratio None: one table of all."""
        parts = [f"### {title}\n"]
        if no_ratio is None:
            parts.append(self.table_of_cases(section, ratio_to))
        for metric, unit in self.metrics(section) if no_ratio is not None else ():
            if not metric.startswith("-"):
                parts.append(self.table(section, metric, unit, None if metric in no_ratio else ratio_to))
        parts += [f"{text}\n" for where, text in self.notes if where == section]
        return "\n".join(parts)

    def write_csv(self, path):
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["section", "case", "variant", "metric", "unit", "round", "value"])
            writer.writerows((*row[:5], row[5] + 1, f"{row[6]:.6g}") for row in self.rows)
