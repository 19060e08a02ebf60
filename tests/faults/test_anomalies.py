"""What no known server does: tolerated and told, or, if strict, an error. Never kept."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from sansio_gradio.errors import RemoteProtocolError
from sansio_gradio.events import Anomaly
from sansio_gradio.testing.talk import (
    COUNT,
    Talk,
    app,
    completed,
    estimation,
    generating,
    starts,
)

JOIN, DATA = "/queue/join", "/queue/data"
BEGUN = (estimation("e"), starts("e"), generating(["a"], "e"))
EDIT = generating([[["append", [], "b"]]], "e")
DONE = completed("done", event_id="e")


@attrs.frozen
class Oddity:
    """Messages, what is told of them, and whether they are an error if strict."""

    name: str
    messages: tuple[dict[str, Any], ...]
    told: tuple[str, ...]
    error: bool = False
    values: tuple[str, ...] = ("a",)


ODDITIES = [
    Oddity(
        "an unknown kind",
        (*BEGUN, {"msg": "brand_new", "event_id": "e"}, DONE),
        ("a message of an unknown kind: 'brand_new'",),
        error=True,
    ),
    Oddity(
        "no kind at all",
        (*BEGUN, {"event_id": "e"}, DONE),
        ("a message of an unknown kind: None",),
        error=True,
    ),
    Oddity(
        "a message out of turn",
        (*BEGUN, {"msg": "queue_full", "event_id": "e"}, DONE),
        ("a message that may not come now: 'queue_full'",),
        error=True,
    ),
    Oddity(
        "wrong types",
        ({**BEGUN[0], "rank": "first", "rank_eta": True}, *BEGUN[1:], DONE),
        ("A message's 'rank' is 'first'.", "A message's 'rank_eta' is True."),
        error=True,
    ),
    Oddity(
        "no data",
        (*BEGUN, {"msg": "process_generating", "event_id": "e", "output": {}}, DONE),
        ("an output without data",),
        error=True,
    ),
    Oddity(
        "edits that do not fit, and what follows from them",
        (*BEGUN, generating([[["append", [9], "b"]]], "e"), EDIT, EDIT, DONE),
        ("an output that does not follow from the one before",),
        error=True,
        values=("a", "done"),
    ),
    Oddity(
        "a value where edits are due",
        (*BEGUN, generating(["ab"], "e"), EDIT, DONE),
        ("an output that does not follow from the one before",),
        error=True,
        values=("a", "done"),
    ),
    Oddity(
        "somebody else's messages",
        (*BEGUN, *[generating(["x"], "other")] * 3, EDIT, DONE),
        ("a message for a job that is not ours",) * 3,
        values=("a", "ab"),
    ),
    Oddity(
        "a message for nobody",
        (*BEGUN, {"msg": "brand_new"}, DONE),
        ("a message for no job: 'brand_new'",),
    ),
    Oddity("the end twice", (*BEGUN, DONE, completed("other", event_id="e")), ()),
    Oddity("messages behind the end", (*BEGUN, DONE, EDIT, starts("e"), estimation("e")), ()),
    Oddity("nonsense behind the end", (*BEGUN, DONE, {"msg": "brand_new", "event_id": "e"}), ()),
    Oddity("a queue position that comes late", (*BEGUN, estimation("e", 5), DONE), ()),
]


@pytest.mark.parametrize("strict", [False, True], ids=["tolerant", "strict"])
@pytest.mark.parametrize("oddity", ODDITIES, ids=lambda oddity: oddity.name)
def test_an_oddity_is_told_and_the_job_goes_on_unless_strict(oddity: Oddity, strict: bool) -> None:
    talk = Talk(app(), strict=strict)
    job = talk.conversation.submit(3, fn_index=COUNT)
    talk.answer(talk.request(JOIN), {"event_id": "e"})
    stream = talk.request(DATA)
    talk.open(stream)
    talk.send(stream, *oddity.messages)
    if strict and oddity.error:
        error = talk.failure_of(job)
        assert type(error) is RemoteProtocolError
        assert error.message.startswith(oddity.told)
        assert list(error.outputs) == talk.values
        assert talk.of(Anomaly) == []
        return
    assert talk.data_of(job) == ("done",)
    assert talk.values == [(value,) for value in oddity.values]
    anomalies = talk.of(Anomaly)
    assert len(anomalies) == len(oddity.told)
    for anomaly, told in zip(anomalies, oddity.told, strict=True):
        assert anomaly.what.startswith(told)
        assert anomaly.message is None or anomaly.message in oddity.messages


def test_messages_of_others_are_counted_and_not_kept() -> None:
    talk = Talk(app())
    job = talk.conversation.submit(3, fn_index=COUNT)
    talk.answer(talk.request(JOIN), {"event_id": "e"})
    stream = talk.request(DATA)
    talk.open(stream)
    for number in range(200):
        talk.send(stream, generating(["x" * 1000], f"other {number}"))
    assert len(talk.of(Anomaly)) == 200
    (channel,) = talk.conversation._channels.values()
    kept = [value for value in vars(channel).values() if isinstance(value, dict | list | set)]
    assert sum(map(len, kept)) == 1  # the job
    talk.send(stream, DONE)
    assert talk.data_of(job) == ("done",)
