"""The test vectors in docs/vectors are current, and this library passes them.

``updates.json`` is in protocol/test_updates.py.
"""

from __future__ import annotations

import copy
import importlib.util
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from sansio_gradio import AppError, AppInfo, SSEDecoder, TooManyRequestsError, apply_diff
from sansio_gradio.errors import QueueFullError, RemoteProtocolError, ServerStoppedError
from sansio_gradio.events import JobCompleted, JobFailed, Output
from sansio_gradio.protocol.failures import app_error, refusal
from sansio_gradio.protocol.features import version_numbers
from sansio_gradio.testing.talk import Talk, completed, generating

TESTS = Path(__file__).parents[1]
VECTORS = TESTS.parent / "docs" / "vectors"
Case = dict[str, Any]


def cases(name: str) -> list[Case]:
    found: list[Case] = json.loads((VECTORS / f"{name}.json").read_text("utf-8"))
    return found


def test_the_files_are_what_their_maker_makes() -> None:
    path = TESTS / "data" / "make_vectors.py"
    spec = importlib.util.spec_from_file_location("make_vectors", path)
    assert spec is not None
    assert spec.loader is not None
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    made = maker.made()
    assert {path.name for path in VECTORS.glob("*.json")} == set(made)
    for name, text in made.items():
        assert (VECTORS / name).read_text("utf-8") == text, f"run {path}"


@pytest.mark.parametrize("case", cases("edits"), ids=lambda case: case["name"])
def test_edits(case: Case) -> None:
    before = copy.deepcopy(case["before"])
    if case.get("fits", True):
        assert apply_diff(before, case["edits"]) == case["after"]
    else:
        with pytest.raises(RemoteProtocolError):
            apply_diff(before, case["edits"])
    assert before == case["before"]


@pytest.mark.parametrize("case", cases("yields"), ids=lambda case: case["name"])
def test_yields(case: Case) -> None:
    messages = [generating(data, "e") for data in case["yields"]]
    messages.append(completed(*case["result"], event_id="e"))
    protocol = "sse_v3" if case["version"] >= "4.17" else "sse_v1"
    text = "".join(f"data: {json.dumps(message)}\n\n" for message in messages)
    hides = len(case["values"]) < len(case["yields"])
    shown = [*case["values"], case["result"]] if hides else case["values"]  # the result is whole
    job = {"event_id": "e", "yields": shown, "result": case["result"], "end": "completed"}
    play({**case, "protocol": protocol, "stream": text, "clean_end": True, "jobs": [job]})


@pytest.mark.parametrize("case", cases("recordings"), ids=lambda case: case["name"])
def test_recordings(case: Case) -> None:
    play(case)


def play(case: Case) -> None:
    """A client hears what the case says, and its jobs end as they should."""
    parts: list[Case] = []
    functions: list[Case] = []
    for number, job in enumerate(case["jobs"]):
        values = job["result"] or (job["yields"] or [["x"]])[0]
        ids = range(len(parts) + 1, len(parts) + 1 + len(values))
        for id, value in zip(ids, values, strict=True):
            kind = "textbox" if isinstance(value, str) else "json"
            parts.append({"id": id, "type": kind, "props": {}, "skip_api": False})
        functions.append({"api_name": f"f{number}", "inputs": [], "outputs": [*ids], "queue": True})
    announced = {} if case["protocol"] == "ws" else {"protocol": case["protocol"]}
    told: Any = {
        "version": case["version"],
        "components": parts,
        "dependencies": functions,
        **announced,
    }
    talk = Talk(AppInfo.from_config(told))
    jobs = [talk.conversation.submit(fn_index=number) for number in range(len(functions))]
    if case["protocol"] == "ws":
        socket = talk.socket()
        talk.open(socket)
        talk.send(socket, *case["texts"])
        talk.end(socket)
    else:
        joins = talk.new()
        for join, job in zip(joins[: len(jobs)], case["jobs"], strict=True):
            talk.answer(join, {"event_id": job["event_id"]})
        (stream,) = [*joins[len(jobs) :], *talk.new()][-1:]
        talk.open(stream)
        talk.conversation.data(stream.id, case["stream"].encode(), talk.now)
        if case["clean_end"]:
            talk.end(stream)
        else:
            talk.lose(stream)
    for number, job in zip(jobs, case["jobs"], strict=True):
        end = talk.last_of(number)
        found = [event.value for event in talk.of(Output) if event.job == number]
        assert found == [tuple(values) for values in job["yields"]]
        if job["end"] == "completed":
            assert isinstance(end, JobCompleted)
            assert end.data == tuple(job["result"])
        else:
            assert isinstance(end, JobFailed)
            kinds = {"cancelled": ServerStoppedError, "queue_full": QueueFullError}
            assert type(end.error) is kinds.get(job["end"], AppError)
            assert [*end.error.outputs] == [tuple(values) for values in job["yields"]]


@pytest.mark.parametrize("case", cases("error_texts"), ids=lambda case: str(case["output"]))
def test_error_texts(case: Case) -> None:
    error = app_error(case["output"], version_numbers(case["version"]))
    hidden = AppError.default_message
    assert error.message == (case["text"] or hidden)


@pytest.mark.parametrize("case", cases("refusals"), ids=lambda case: case["name"])
def test_refusals(case: Case) -> None:
    body = json.dumps(case["body"]) if "body" in case else case["text_body"]
    headers = tuple(case.get("headers", {}).items())
    error = refusal(case["status"], headers, body.encode(), (6, 31, 0))
    assert type(error).__name__ == case["error"]
    assert error.message == case.get("text", error.message)
    assert error.status == case["status"]
    if "retry-after" in case.get("headers", {}):
        assert isinstance(error, TooManyRequestsError)
        assert error.retry_after == float(case["headers"]["retry-after"])


@pytest.mark.parametrize("case", cases("streams"), ids=lambda case: case["name"])
def test_streams(case: Case) -> None:
    data = case["text"].encode()
    cuts = [0, *(cut for cut in case.get("cuts", ()) if cut < len(data)), len(data)]
    decoder = SSEDecoder()
    found = [event for a, b in pairwise(cuts) for event in decoder.receive_data(data[a:b])]
    found += decoder.receive_eof()
    assert [json.loads(event.data) for event in found] == case["messages"]
