"""The pages in docs/ say what the code does: drawings are current, links lead on."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from docs import build  # pyright: ignore[reportAttributeAccessIssue]  # not that of the tests
from sansio_gradio.protocol import requests
from sansio_gradio.protocol.features import Feature
from sansio_gradio.protocol.keys import KINDS, MESSAGE_KEYS
from sansio_gradio.protocol.messages import Message
from sansio_gradio.protocol.protocols import CALLS, PROTOCOLS
from sansio_gradio.protocol.states import SESSION_MSGS, TRANSITIONS, Msg
from tests.support import transcripts

PAGES = sorted(build.DOCS.rglob("*.md"))
PROTOCOL_PAGES = build.pages()
TEXT = "\n".join(page.read_text("utf-8") for page in PROTOCOL_PAGES)
ROOT = build.PAGE.parent.parent
SOURCES = sorted(
    path
    for folder in ("sansio_gradio", "adapters", "tests", "fuzz", "benchmarks", "examples")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in {".py", ".mjs", ".go"} and path != Path(__file__)
)


def test_what_is_drawn_from_the_tables_is_current() -> None:
    for page in {where for where, _ in build.PARTS.values()}:
        text = page.read_text("utf-8")
        assert build.current(page, text) == text, "run: python3 dev.py docs"
    assert build.schema() == build.SCHEMA.read_text("utf-8"), "run: python3 dev.py docs"


@pytest.mark.parametrize("name", build.PARTS)
def test_each_part_has_its_place_in_its_page(name: str) -> None:
    page, draw = build.PARTS[name]
    text = page.read_text("utf-8")
    with pytest.raises(ValueError, match=name):
        build.current(page, text.replace(f"<!-- begin {name} -->", ""))
    assert draw() in text


def test_no_rule_loses_its_name_and_no_name_is_taken_twice() -> None:
    anchors = re.findall(r'<a id="(R-[^"]*)"', TEXT)
    named = [name for page in PROTOCOL_PAGES for name, _ in build.rules_of(page.read_text("utf-8"))]
    assert anchors == named, "a rule is: * <a id=...></a>**NAME** text"
    assert len(set(named)) == len(named)
    listed = build.ANCHORS.read_text("utf-8").split()
    assert len(set(listed)) == len(listed)
    assert set(listed) == set(named), "a new rule: run python3 dev.py docs; no rule may go"


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
    explained = set(re.findall(r"^\| `([\w?]+)` \|", build.kinds(), re.MULTILINE))
    assert explained - {"msg"} == {msg.value for msg in Msg} | SESSION_MSGS


def test_the_rows_of_keys_are_those_of_the_types() -> None:
    read = {name for name, key in MESSAGE_KEYS.items() if key.is_read}
    assert set(Message.__annotations__) == read
    assert {key for kind in KINDS.values() for key in kind.keys} == set(MESSAGE_KEYS) - {"msg"}


SCHEMA = json.loads(build.schema())["$defs"]
_NAMES = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array"}


def misfits(name: str, value: Any) -> list[str]:
    """What of *value* is not as the JSON Schema of that name says; shapes deeper down not looked
    at."""
    shape = SCHEMA[name]
    lacking = [f"{name} lacks {key}" for key in shape["required"] if key not in value]
    for key, rule in shape["properties"].items():
        if key not in value:
            continue
        kind = "null" if value[key] is None else _NAMES.get(type(value[key]), "object")
        kinds = rule.get("type", kind)
        fits = kind in kinds or (kind == "integer" and "number" in kinds)
        if not fits or value[key] != rule.get("const", value[key]):
            lacking.append(f"{name}.{key} is {value[key]!r}")
    return lacking


@pytest.mark.parametrize("version", transcripts.versions())
def test_what_real_servers_sent_fits_the_schema(version: str) -> None:
    heard, wrong = set[str](), list[str]()
    for scenario in transcripts.scenarios(version):
        recording = transcripts.load(version, scenario)
        wrong += misfits("config", recording.config)
        for part in recording.config["components"]:
            wrong += misfits("component", part)
        for function in recording.config["dependencies"]:
            wrong += misfits("function", function)
        for entry in ((recording.info or {}).get("named_endpoints") or {}).values():
            wrong += misfits("endpoint", entry)
            for part in [*entry["parameters"], *entry["returns"]]:
                wrong += misfits("parameter", part)
        for exchange in recording.expected["exchanges"]:
            body = exchange.get("request_json")
            if exchange["target"].endswith("/queue/join") and exchange["status"] == 200:
                wrong += misfits("call", body)
                wrong += misfits("joined", exchange["response_json"])
            if "upload" in exchange["target"]:
                continue
            for message in [*exchange.get("messages", ()), *exchange.get("received", ())]:
                if "msg" in message:
                    heard.add(message["msg"])
                    wrong += misfits(f"message.{message['msg']}", message)
                    wrong += misfits("output", message.get("output") or {})
                    for unit in message.get("progress_data") or ():
                        wrong += misfits("progress", unit)
    assert wrong == []
    assert version == "3.1.4" or heard >= {"estimation", "process_starts", "process_completed"}


def test_the_schema_refuses_what_is_wrong() -> None:
    assert misfits("message.log", {"msg": "log", "log": 5}) == [
        "message.log lacks level",
        "message.log.log is 5",
    ]
    assert misfits("message.log", {"msg": "gol", "log": "", "level": ""}) != []
    assert misfits("component", {"id": True, "type": None, "props": {}, "skip_api": False}) == [
        "component.id is True",
        "component.type is None",
    ]


def test_the_bodies_that_the_client_sends_have_the_keys_of_the_tables() -> None:
    def keys(request: requests.HTTPRequest) -> set[str]:
        assert isinstance(request.body, bytes)
        return set(json.loads(request.body))

    assert keys(requests.cancel("s", 1, "e")) == set(SCHEMA["stop"]["properties"])
    assert keys(requests.reset("e")) == set(SCHEMA["stop"]["required"])


@pytest.mark.parametrize("page", PAGES, ids=str)
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


def test_each_promise_of_the_threat_model_names_tests_that_exist() -> None:
    text = (build.PAGE.parent / "threat_model.md").read_text("utf-8")
    rows = text.partition("## What is guarded")[2].partition("\n## ")[0].splitlines()
    promises = [row for row in rows if row.startswith("| ")][1:]
    assert len(promises) > 10
    for promise in promises:
        tests = re.findall(r"`(\w+/test_\w+\.py)`", promise)
        assert tests, promise
        for test in tests:
            assert (ROOT / "tests" / test).exists(), test


def test_documents_that_the_code_cites_can_be_opened() -> None:
    cited = 0
    for path in SOURCES:
        text = re.sub(r"\s+#?\s*", " ", path.read_text("utf-8"))
        for document, _, anchor in re.findall(
            r"\b((?:docs/[\w/]+|[A-Z]{3,})\.md\b)(#([\w-]+))?", text
        ):
            assert (ROOT / document).exists(), f"{path} cites {document}"
            if anchor:
                found = anchors((ROOT / document).read_text("utf-8"))
                assert anchor in found, f"{path} cites {document}#{anchor}"
                cited += 1
        assert "protocol.md, section" not in text, f"{path}: cite a rule or a heading"
        for name in re.findall(r"\bR-\w+-\d+\b", text):
            assert name in build.ANCHORS.read_text("utf-8").split(), f"{path} cites {name}"
    assert cited > 5


def anchors(text: str) -> set[str]:
    """The names that headings and rules have on the page."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}.union(
        re.findall(r'<a id="(.*?)"', text)
    )


def test_the_recordings_that_are_named_as_evidence_exist() -> None:
    named = set(re.findall(r"(\d+\.\d+\.\d+)/(\w+(?:/\w+)?)", TEXT))
    assert len(named) > 20
    left_out = {(version, name) for version, name in named if name in transcripts.LEFT_OUT}
    assert named - set(transcripts.recordings()) == left_out == set()
    for name in re.findall(r"R (\w+) of ", TEXT):
        assert name == "config" or any(s == name for _, s in transcripts.recordings()), name


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_each_footnote_is_there_and_is_used(page: Path) -> None:
    text = page.read_text("utf-8")
    notes = re.findall(r"^\[\^(\d+)\]: ", text, re.MULTILINE)
    assert len(set(notes)) == len(notes)
    assert set(re.findall(r"(?<!\n)\[\^(\d+)\]", text)) == set(notes)


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_code_in_the_pages_is_closed_and_its_json_is_json(page: Path) -> None:
    text = page.read_text("utf-8")
    assert text.count("```") % 2 == 0
    for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL):
        json.loads(block)


def test_the_example_of_edits_is_right() -> None:
    code = re.search(r"```python\n(def apply.*?)```", TEXT, re.DOTALL)
    example = re.search(r"```\nvalue  (.*)\nedits  (.*)\nvalue  (.*)\n```", TEXT)
    assert code
    assert example
    names: dict[str, object] = {"null": None}
    exec(code[1], names)
    value, edits, wanted = (eval(part, names) for part in example.groups())
    apply = names["apply"]
    assert callable(apply)
    assert apply(value, edits) == wanted
