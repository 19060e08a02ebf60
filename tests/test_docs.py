"""The pages in docs/ say what the code does: drawings are current, links lead on."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import transcripts

from docs import build
from sansio_gradio.protocol.features import Feature
from sansio_gradio.protocol.protocols import CALLS, PROTOCOLS
from sansio_gradio.protocol.states import SESSION_MSGS, TRANSITIONS, Msg

PAGE = build.PAGE.read_text("utf-8")
PAGES = sorted(build.PAGE.parent.glob("*.md"))
ROOT = build.PAGE.parent.parent
SOURCES = sorted(
    path
    for folder in ("sansio_gradio", "adapters", "tests", "fuzz", "benchmarks", "examples")
    for path in (ROOT / folder).rglob("*.py")
    if path != Path(__file__)
)


def test_what_is_drawn_from_the_tables_is_current() -> None:
    assert build.current(PAGE) == PAGE, "run: python3 dev.py docs"


@pytest.mark.parametrize("name", build.PARTS)
def test_each_part_has_its_place_in_the_page(name: str) -> None:
    without = PAGE.replace(f"<!-- begin {name} -->", "")
    with pytest.raises(ValueError, match=name):
        build.current(without)
    assert build.PARTS[name]() in PAGE


def test_every_row_and_every_move_is_drawn() -> None:
    table = build.protocols().splitlines()[2:]
    assert [row.split("`")[1] for row in table] == [*PROTOCOLS, *CALLS]
    arrows = re.findall(r"(\w+) --> (\w+) : (.*)", build.job_states())
    drawn = {(start, msg): end for start, end, msgs in arrows for msg in msgs.split(", ")}
    moves = {
        (state.name, msg.value): target.name
        for state, targets in TRANSITIONS.items()
        for msg, target in targets.items()
    }
    assert drawn == moves
    assert len(build.features().splitlines()) == 2 + len(Feature)


def test_every_kind_of_message_is_explained() -> None:
    section = PAGE[PAGE.index("## 4 Messages") : PAGE.index("### 4.1")]
    explained = set(re.findall(r"^\| `([\w?]+)` \|", section, re.MULTILINE))
    kinds = {msg.value for msg in Msg} - {Msg.SERVER_STOPPED.value}
    assert explained - {"msg"} == kinds | SESSION_MSGS
    assert Msg.SERVER_STOPPED.value in section


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_within_the_pages_lead_somewhere(page: Path) -> None:
    text = page.read_text("utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        file, _, anchor = target.partition("#")
        if "://" in file:
            continue
        there = page.parent / file if file else page
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(there.read_text("utf-8")), target


def test_documents_that_the_code_cites_can_be_opened() -> None:
    sections = set(re.findall(r"^##+ (\d+(?:\.\d+)?) ", PAGE, re.MULTILINE))
    cited = 0
    for path in SOURCES:
        text = re.sub(r"\s+#?\s*", " ", path.read_text("utf-8"))
        named = set(re.findall(r"docs/protocol\.md, section (\d+(?:\.\d+)?)", text))
        assert named <= sections, path
        cited += len(named)
        for document in re.findall(r"\b(?:docs/\w+|[A-Z]{3,})\.md\b", text):
            assert (ROOT / document).exists(), f"{path} cites {document}"
    assert cited > 5


def anchors(text: str) -> set[str]:
    """The names that headings have on the page."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


def test_the_recordings_that_are_named_as_evidence_exist() -> None:
    named = set(re.findall(r"(\d+\.\d+\.\d+)/(\w+(?:/\w+)?)", PAGE))
    assert len(named) > 20
    left_out = {(version, name) for version, name in named if name in transcripts.LEFT_OUT}
    assert named - set(transcripts.recordings()) == left_out == set()
    for name in re.findall(r"\[R\s+(\w+) of ", PAGE):
        assert any(scenario == name for _, scenario in transcripts.recordings()), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_in_the_pages_is_closed_and_its_json_is_json(page: Path) -> None:
    text = page.read_text("utf-8")
    assert text.count("```") % 2 == 0
    for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL):
        json.loads(block)


def test_the_example_of_edits_is_right() -> None:
    code = re.search(r"```python\n(def apply.*?)```", PAGE, re.DOTALL)
    example = re.search(r"```\nvalue  (.*)\nedits  (.*)\nvalue  (.*)\n```", PAGE)
    assert code
    assert example
    names: dict[str, object] = {"null": None}
    exec(code[1], names)
    value, edits, wanted = (eval(part, names) for part in example.groups())
    apply = names["apply"]
    assert callable(apply)
    assert apply(value, edits) == wanted
