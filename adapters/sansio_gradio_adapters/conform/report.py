"""What came of a run: as JSON, as one page of HTML, and as text."""

from __future__ import annotations

import html
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import attrs

if TYPE_CHECKING:
    from sansio_gradio.testing.conducting import Conductor, Plan, Traffic

__all__ = ["Report", "Row", "Verdict", "transcript"]

MOST: Final = 12_000  # characters of a transcript

Verdict = Literal["passed", "failed", "skipped"]


@attrs.frozen(kw_only=True)
class Row:
    """One row of a report. ``rule``: the one that was broken, or else the one that it is about.
    ``what``: what was wrong, or else what was tried. ``smallest``: the smallest case that fails as
    this one does."""

    name: str
    version: str
    verdict: Verdict
    rule: str
    what: str
    transcript: str = ""
    smallest: str = ""

    @classmethod
    def of(
        cls,
        plan: Plan,
        verdict: Verdict,
        rule: str,
        what: str,
        transcript: str = "",
        *,
        smallest: Plan | None = None,
    ) -> Row:
        small = (
            "" if smallest is None else f"{smallest.name}, steps: {len(smallest.scenario.steps)}"
        )
        return cls(
            name=plan.name,
            version=plan.version,
            verdict=verdict,
            rule=rule,
            what=what,
            transcript=transcript,
            smallest=small,
        )


@attrs.frozen(kw_only=True)
class Report:
    """All cases of a run, and what the run was. ``about``: further facts."""

    title: str
    cases: Sequence[Row]
    about: Mapping[str, Any]

    @property
    def counts(self) -> dict[str, int]:
        """How many cases have each verdict."""
        count = Counter(case.verdict for case in self.cases)
        return {"passed": count["passed"], "failed": count["failed"], "skipped": count["skipped"]}

    def as_json(self) -> str:
        made = {
            "title": self.title,
            **self.about,
            "counts": self.counts,
            "cases": [attrs.asdict(case) for case in self.cases],
        }
        return json.dumps(made, indent=1, ensure_ascii=False) + "\n"

    def as_html(self) -> str:
        """One page that needs nothing else."""
        about = "".join(
            f"<dt>{html.escape(key)}</dt><dd>{html.escape(_plain(value))}</dd>"
            for key, value in self.about.items()
        )
        counts = " ".join(
            f'<span class="{verdict}">{count} {verdict}</span>'
            for verdict, count in self.counts.items()
        )
        order = {"failed": 0, "passed": 1, "skipped": 2}
        rows = "".join(map(_row, sorted(self.cases, key=lambda case: order[case.verdict])))
        return _PAGE.format(
            title=html.escape(self.title), about=about, counts=counts, rows=rows, style=_STYLE
        )


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))  # pyright: ignore[reportUnknownArgumentType,reportUnknownVariableType]
    return str(value)


def _row(case: Row) -> str:
    more = ""
    if case.smallest:
        more += f"<p>Smallest case found: <code>{html.escape(case.smallest)}</code></p>"
    if case.transcript:
        bytes_ = html.escape(case.transcript)
        more += f"<details><summary>bytes of both directions</summary><pre>{bytes_}</pre></details>"
    return (
        f'<tr class="{case.verdict}"><td data-name="verdict">{case.verdict}</td>'
        f'<td data-name="version">{html.escape(case.version)}</td>'
        f'<td data-name="case"><code>{html.escape(case.name)}</code></td>'
        f'<td data-name="rule"><code>{html.escape(case.rule)}</code></td>'
        f'<td data-name="what">{html.escape(case.what)}{more}</td></tr>\n'
    )


_STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; }
* { box-sizing: border-box; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 0 auto; padding: 1rem; max-width: 1280px; }
h1 { font-size: 1.4rem; margin: 0 0 .5rem; }
dl {
  display: grid; grid-template-columns: max-content 1fr; gap: .1rem .8rem; margin: .5rem 0 1rem;
}
dt { opacity: .7; }
dd { margin: 0; overflow-wrap: anywhere; }
.counts span {
  display: inline-block; padding: .15rem .6rem; border-radius: 1rem; background: var(--soft);
}
.passed > td:first-child, span.passed { color: #117733; }
.failed > td:first-child, span.failed { color: #c0152f; font-weight: 600; }
.skipped > td:first-child, span.skipped { opacity: .65; }
table { border-collapse: collapse; width: 100%; margin-top: 1rem; table-layout: fixed; }
th, td {
  text-align: left; vertical-align: top; padding: .35rem .5rem;
  border-top: 1px solid var(--line); overflow-wrap: anywhere;
}
th:nth-child(1) { width: 5.5rem; }
th:nth-child(2) { width: 5.25rem; }
th:nth-child(3) { width: 15rem; }
th:nth-child(4) { width: 8.5rem; }
td p { margin: .3rem 0; }
code, pre { font: 13px/1.4 ui-monospace, monospace; }
pre {
  white-space: pre-wrap; overflow-wrap: anywhere; background: var(--soft); padding: .5rem;
  max-height: 24rem; overflow-y: auto; margin: .3rem 0;
}
summary { cursor: pointer; opacity: .8; }
@media (max-width: 720px) {
  thead { display: none; }
  table, tbody, tr { display: block; }
  tr { border-top: 1px solid var(--line); padding: .5rem 0; }
  td { display: grid; grid-template-columns: 4.5rem minmax(0, 1fr); border: 0; padding: .1rem 0; }
  td::before { content: attr(data-name); opacity: .6; }
  td > * { grid-column: 2; }
}
"""

_PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
<h1>{title}</h1>
<p class="counts">{counts}</p>
<dl>{about}</dl>
<table>
<thead><tr><th>verdict</th><th>version</th><th>case</th><th>rule</th><th>what</th></tr></thead>
<tbody>
{rows}</tbody>
</table>
</html>
"""


def transcript(conductor: Conductor) -> str:
    """The bytes of both directions. The config is left out, since it is long and the same in all
    cases but those about it."""
    began = conductor.heard[0].now if conductor.heard else 0.0
    is_about_config = any(change.layer == "config" for change in conductor.plan.changes)
    lines: list[str] = []
    last: tuple[int, str] | None = None
    for heard in conductor.heard:
        if last != (heard.conn, heard.by):
            arrow = ">" if heard.by == "client" else "<"
            lines.append(f"\n{heard.now - began:8.3f}s  connection {heard.conn} {arrow} ")
            last = heard.conn, heard.by
        lines.append(_text(heard, is_short=not is_about_config))
    text = "".join(lines).strip("\n")
    return text if len(text) <= MOST else f"{text[: MOST // 2]}\n…\n{text[-MOST // 2 :]}"


def _text(heard: Traffic, *, is_short: bool) -> str:
    if not heard.data:
        return "(the end of the connection)"
    text = heard.data.decode("utf-8", "backslashreplace").replace("\r\n", "\n")
    if is_short and '"dependencies"' in text:
        text = text.partition("\n\n")[0] + "\n\n{… the config …}"
    shown = "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text)
    return shown if len(shown) < 2000 else f"{shown[:900]}…({len(shown)} characters)…{shown[-300:]}"
