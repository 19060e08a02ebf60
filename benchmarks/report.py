"""The figures of ``run.py`` as a table, and as plots in SVG that follow the reader's colours."""

from __future__ import annotations

import math
import platform
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Final, TypeAlias

import attrs

BEGIN: Final = "<!-- begin figures: python3 dev.py bench -->"
END: Final = "<!-- end figures -->"
UNITS: Final = {"s": 1.0, "ms": 1e3, "us": 1e6, "MB": 1e-6, "kB": 1e-3, "B": 1.0, "": 1.0}
UNITS.update({"%": 1e2, "MB/s": 1e-6})
NAMES: Final = {
    "blocking": "blocking",
    "speed": "with `speed`",
    "asyncio": "asyncio",
    "trio": "trio",
    "loop": "`Loop`",
    "h11": "h11 floor",
    "raw": "socket floor",
    "peer": "gradio_client",
    "js": "@gradio/client",
}
SERVERS: Final = {"burst": "stub", "paced": "stub", "far": "stub", "real": "Gradio 6.31.0"}


At: TypeAlias = tuple[str, str, str]
Growth: TypeAlias = dict[str, list[tuple[int, float]]]


@attrs.frozen
class Figure:
    """A figure of a measurement: its ``key`` there, and how it is shown."""

    title: str
    key: str
    unit: str

    @property
    def is_better_high(self) -> bool:
        return self.unit == "MB/s"


@attrs.define
class Findings:
    """All that was measured, by server, title and client."""

    values: dict[At, list[float]] = attrs.field(factory=dict[At, list[float]])
    words: dict[At, str] = attrs.field(factory=dict[At, str])
    """Why there is no figure."""
    growth: Growth = attrs.field(factory=dict[str, list[tuple[int, float]]])
    """Seconds of CPU for one, by how many there are."""

    def add(
        self, server: str, figure: Figure, client: str, figures: dict[str, float] | str
    ) -> None:
        at = (server, figure.title, client)
        if isinstance(figures, str):
            self.words[at] = figures
        elif figure.key in figures:
            self.values.setdefault(at, []).append(figures[figure.key])

    def value(self, server: str, figure: Figure, client: str) -> float | None:
        """The median, in the unit of the figure."""
        found = self.values.get((server, figure.title, client))
        return None if not found else statistics.median(found) * UNITS[figure.unit]

    def text(self, server: str, figure: Figure, client: str) -> str:
        value = self.value(server, figure, client)
        if value is None:
            return self.words.get((server, figure.title, client), "")
        return f"{short(value)} {figure.unit}".strip()

    def ratio(self, server: str, figure: Figure, other: str) -> str:
        """How many times what *other* takes our blocking client takes."""
        ours, theirs = (self.value(server, figure, one) for one in ("blocking", other))
        if ours is None or theirs is None or min(ours, theirs) <= 0:
            return ""
        return f"{theirs / ours if figure.is_better_high else ours / theirs:.2g}"


def short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


Shown = Sequence[tuple[str, Sequence[Figure]]]


def write(path: Path, findings: Findings, rows: Shown) -> None:
    """Put the figures between the marks of *path*, and the plots into a folder of its name."""
    folder = path.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    body = [table(findings, rows)]
    (folder / "bars.svg").write_text(bars(findings, rows))
    body.append(f"![CPU beside the peers]({folder.name}/bars.svg)")
    if findings.growth:
        (folder / "growth.svg").write_text(lines(findings.growth))
        body.append(growth_table(findings.growth))
        body.append(f"![How the cost grows]({folder.name}/growth.svg)")
    page = path.read_text() if path.exists() else f"# Performance\n\n{BEGIN}\n{END}\n"
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n\n" + "\n\n".join(body) + f"\n\n{END}{after}")


def table(findings: Findings, rows: Shown) -> str:
    there = {client for _, _, client in findings.values} | {one for _, _, one in findings.words}
    clients = [client for client in NAMES if client in there]
    ratios = [other for other in ("h11", "peer", "js") if other in there]
    today = datetime.now(UTC).date()
    head = ["", *(NAMES[client] for client in clients)]
    head += [f"blocking : {NAMES[other]}" for other in ratios]
    written = [
        f"Medians, {today}; Python {platform.python_version()}, {platform.machine()}.",
        "",
        "| " + " | ".join(head) + " |",
        "|---" * len(head) + "|",
    ]
    for server, figures in rows:
        for figure in figures:
            where = "" if SERVERS[server] == "stub" else f" ({SERVERS[server]})"
            cells = [f"{figure.title}{where}"]
            cells += [findings.text(server, figure, client) for client in clients]
            cells += [findings.ratio(server, figure, other) for other in ratios]
            written.append("| " + " | ".join(cells) + " |")
    return "\n".join(written)


def growth_table(growth: Growth) -> str:
    written = [
        "| CPU of one, us | " + " | ".join(f"10^{n}" for n in range(7)) + " |",
        "|---" * 8 + "|",
    ]
    for unit, points in growth.items():
        found = {round(math.log10(size)): f"{short(each * 1e6)}" for size, each in points}
        cells = [found.get(power, "") for power in range(7)]
        written.append(f"| of so many {unit} | " + " | ".join(cells) + " |")
    return "\n".join(written)


# Plots

STYLE: Final = """<style>
text { font: 12px sans-serif; fill: #222 }
.axis { stroke: #999; stroke-width: 1 }
.c0 { --c: #1668b8 } .c1 { --c: #7a7a7a } .c2 { --c: #c2571a } .c3 { --c: #2f8a3d }
rect { fill: var(--c) } polyline { stroke: var(--c); fill: none; stroke-width: 2 }
circle { fill: var(--c) }
@media (prefers-color-scheme: dark) {
text { fill: #ddd }
.c0 { --c: #6cb2f5 } .c1 { --c: #a5a5a5 } .c2 { --c: #f0935a } .c3 { --c: #74c882 }
}
</style>"""
SHOWN: Final = ("blocking", "h11", "peer", "js")
LEFT, WIDTH, BAR = 230, 460, 12


def bars(findings: Findings, rows: Shown) -> str:
    """A group of bars for each figure in seconds, as multiples of the h11 floor, on a log scale."""
    drawn: list[str] = []
    y = 30
    for server, figures in rows:
        figure = figures[0]
        floor = findings.value(server, figure, "h11")
        if floor is None or floor <= 0 or figure.unit not in {"s", "ms", "us"}:
            continue
        where = "" if SERVERS[server] == "stub" else " (real)"
        title = escape(figure.title + where)
        drawn.append(f'<text x="{LEFT - 8}" y="{y + 2 * BAR}" text-anchor="end">{title}</text>')
        for place, client in enumerate(SHOWN):
            value = findings.value(server, figure, client)
            if value is not None and value > 0:
                width = max(2.0, WIDTH * (math.log10(value / floor) + 1) / 4)
                label = f"{short(value)} {figure.unit}"
                drawn.append(
                    f'<rect class="c{place}" x="{LEFT}" y="{y}" width="{min(width, WIDTH):.0f}"'
                    f' height="{BAR - 2}"/><text x="{LEFT + min(width, WIDTH) + 5:.0f}"'
                    f' y="{y + BAR - 3}">{label}</text>'
                )
            y += BAR
        y += 10
    legend = "".join(
        f'<rect class="c{place}" x="{LEFT + 130 * place}" y="8" width="10" height="10"/>'
        f'<text x="{LEFT + 14 + 130 * place}" y="17">{NAMES[client]}</text>'
        for place, client in enumerate(SHOWN)
    )
    mark = LEFT + WIDTH / 4
    axis = f'<line class="axis" x1="{mark}" y1="24" x2="{mark}" y2="{y}"/>'
    return svg(LEFT + WIDTH + 90, y + 6, [legend, axis, *drawn])


def lines(growth: Growth) -> str:
    """The CPU of one against how many there are: flat is linear. Both scales are logarithmic."""
    height, bottom = 260, 290
    values = [each for points in growth.values() for _, each in points]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))

    def place(size: int, each: float) -> tuple[float, float]:
        part = (math.log10(each) - low) / max(1, high - low)
        return 60 + 90 * math.log10(size), bottom - height * part

    drawn = [
        f'<line class="axis" x1="60" y1="{bottom}" x2="610" y2="{bottom}"/>',
        f'<line class="axis" x1="60" y1="{bottom - height}" x2="60" y2="{bottom}"/>',
    ]
    for power in range(7):
        drawn.append(f'<text x="{60 + 90 * power}" y="{bottom + 16}">10^{power}</text>')
    for power in range(low, high + 1):
        y = bottom - height * (power - low) / max(1, high - low)
        drawn.append(f'<text x="2" y="{y + 4:.0f}">10^{power} s</text>')
    for number, (unit, points) in enumerate(growth.items()):
        spots = [place(size, each) for size, each in points]
        path = " ".join(f"{x:.0f},{y:.0f}" for x, y in spots)
        drawn.append(f'<polyline class="c{number % 4}" points="{path}"/>')
        drawn += [
            f'<circle class="c{number % 4}" cx="{x:.0f}" cy="{y:.0f}" r="3"/>' for x, y in spots
        ]
        x, y = spots[-1]
        drawn.append(f'<text x="{x - 60:.0f}" y="{y - 8:.0f}">{escape(unit)}</text>')
    return svg(700, 320, drawn)


def svg(width: float, height: float, parts: Sequence[str]) -> str:
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    inside = "\n".join([STYLE, *filter(None, parts)])
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n{inside}\n</svg>\n'
