"""One SVG of the run: grouped bars, median with a whisker from the least to the most, a colour a variant."""

from statistics import median
from xml.sax.saxutils import escape

from .results import number

COLOURS = {"direct": "#9aa5b1", "headgate": "#0b7a75", "pgbouncer-session": "#d1495b", "pgbouncer-transaction": "#edae49",
           "haproxy": "#5b7db1"}
WIDTH, HEIGHT, COLUMNS = 430, 250, 3
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 34, 30
HEAD = 56

# (section, metric, title, only cases that begin with)
PANELS = [
    *(("pgbench", "proxy CPU per transaction", f"proxy CPU s per million transactions, {protocol}, by clients", protocol)
      for protocol in ("simple", "extended", "prepared")),
    *(("pgbench", "TPS", f"transactions a second, {protocol}, by clients", protocol) for protocol in ("simple", "extended", "prepared")),
    *(("pgbench", "99% latency", f"99% latency, ms, {protocol}, by clients", protocol) for protocol in ("simple", "extended", "prepared")),
    ("instructions", "instructions per transaction", "user-space instructions per transaction", ""),
    ("copy", "proxy CPU per GB", "COPY: CPU seconds of the proxy per GB", ""),
    ("copy", "throughput", "COPY: MB a second", ""),
    ("tls", "proxy CPU per transaction", "TLS clients: CPU seconds per million transactions", ""),
    ("connect", "proxy CPU per connection", "CPU seconds of the proxy per million connections", ""),
    ("connect", "TPS", "connections a second (one query each)", ""),
    ("memory", "resident memory per session", "resident KiB per idle session", ""),
    ("hold", "hold answered after", "hold answered after, ms", ""),
    ("hold", "release to every client", "release to every client's next answer, ms", ""),
]


def _text(x, y, words, size=11, anchor="start", weight="normal", fill="#1f2933"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}" fill="{fill}">'
            f"{escape(words)}</text>")


def _nice(top):
    """A round number not below top, for the axis."""
    if top <= 0:
        return 1.0
    scale = 1.0
    while scale < top:
        scale *= 10
    while scale / 10 >= top:
        scale /= 10
    return next(scale * part for part in (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0) if scale * part >= top * 0.999)


def _panel(results, section, metric, title, prefix):
    """The panel's elements at the origin; None where nothing was measured."""
    bars = {}
    for case in results.cases(section):
        if case.startswith(prefix):
            for variant in results.variants(section):
                values = results.values(section, case, variant, metric)
                if values:
                    bars.setdefault(case, {})[variant] = values
    if not bars:
        return None
    top = _nice(max(max(values) for group in bars.values() for values in group.values()))
    bottom, height = HEIGHT - BOTTOM, HEIGHT - TOP - BOTTOM

    def y_of(value):
        return bottom - height * value / top

    parts = [_text(8, 18, title, 12, weight="bold")]
    for step in range(5):
        value = top * step / 4
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y_of(value):.1f}" y2="{y_of(value):.1f}" stroke="#e4e7eb"/>')
        parts.append(_text(LEFT - 5, y_of(value) + 4, number(value), 10, "end", fill="#616e7c"))
    slot = (WIDTH - LEFT - RIGHT) / len(bars)
    for index, (case, group) in enumerate(bars.items()):
        wide = slot * 0.84 / max(len(group), 3)
        start = LEFT + slot * index + (slot - wide * len(group)) / 2
        label = case[len(prefix):].strip().replace("-byte rows", " B")
        parts.append(_text(LEFT + slot * (index + 0.5), HEIGHT - 12, label, 10, "middle"))
        for place, (variant, values) in enumerate(group.items()):
            x, middle = start + wide * place, median(values)
            tip = f"{variant}, {case}: {number(middle)} ({number(min(values))} to {number(max(values))})"
            parts.append(f'<rect x="{x + 0.5:.1f}" y="{y_of(middle):.1f}" width="{wide - 1:.1f}" '
                         f'height="{max(bottom - y_of(middle), 0):.1f}" fill="{COLOURS[variant]}"><title>{escape(tip)}</title></rect>')
            if len(values) > 1:
                x += wide / 2
                parts.append(f'<path d="M{x:.1f} {y_of(max(values)):.1f}V{y_of(min(values)):.1f}" stroke="#1f2933"/>')
    return "\n".join(parts)


def write(results, path, title):
    panels = [panel for panel in (_panel(results, *what) for what in PANELS) if panel]
    rows = (len(panels) + COLUMNS - 1) // COLUMNS
    width, height = WIDTH * COLUMNS, HEAD + HEIGHT * max(rows, 1)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
             'font-family="Helvetica, Arial, sans-serif">', f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
             _text(8, 22, title, 15, weight="bold")]
    shown = {row[2] for row in results.rows}
    x = 8
    for variant, colour in COLOURS.items():
        if variant in shown:
            parts.append(f'<rect x="{x}" y="33" width="11" height="11" fill="{colour}"/>')
            parts.append(_text(x + 16, 43, variant, 12))
            x += 34 + 7 * len(variant)
    for index, panel in enumerate(panels):
        column, row = index % COLUMNS, index // COLUMNS
        parts.append(f'<g transform="translate({column * WIDTH} {HEAD + row * HEIGHT})">\n{panel}\n</g>')
    parts.append("</svg>\n")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(parts))
