"""What a job's user is shown: in order, complete, and fit to be sent on."""

from __future__ import annotations

import copy
import json
import operator
import pickle
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_gradio.protocol.messages import Message, parse_message
from sansio_gradio.protocol.states import Msg
from sansio_gradio.protocol.status import Status, StatusUpdate, progress_units, status_of
from tests.support import transcripts

# Programs compare and store these: the order and the keys are fixed.
IN_ORDER = [
    *("STARTING", "JOINING_QUEUE", "QUEUE_FULL", "IN_QUEUE", "SENDING_DATA", "PROCESSING"),
    *("PROGRESS", "ITERATING", "LOG", "FINISHED", "CANCELLED"),
]
KEYS = {
    *("code", "msg", "rank", "queue_size", "eta", "success", "time", "progress_data", "log"),
    *("title", "duration"),
}
COMPARISONS = (operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne)

# gradio_client 2.7.2, utils.py: Status.msg_to_status; and the four kinds that it lacks.
CODES = {
    Msg.SEND_HASH: Status.JOINING_QUEUE,
    Msg.QUEUE_FULL: Status.QUEUE_FULL,
    Msg.ESTIMATION: Status.IN_QUEUE,
    Msg.SEND_DATA: Status.SENDING_DATA,
    Msg.PROCESS_STARTS: Status.PROCESSING,
    Msg.PROGRESS: Status.PROGRESS,
    Msg.LOG: Status.LOG,
    Msg.PROCESS_GENERATING: Status.ITERATING,
    Msg.PROCESS_STREAMING: Status.ITERATING,
    Msg.PROCESS_COMPLETED: Status.FINISHED,
    Msg.UNEXPECTED_ERROR: Status.FINISHED,
    Msg.SERVER_STOPPED: Status.FINISHED,
}


def test_the_names_are_the_values_in_order() -> None:
    assert [status.value for status in Status] == IN_ORDER
    assert [status.name for status in Status] == IN_ORDER


@pytest.mark.parametrize("compare", COMPARISONS)
def test_statuses_compare_as_they_follow_each_other(compare: Callable[[Any, Any], bool]) -> None:
    for (i, one), (j, other) in product(enumerate(Status), repeat=2):
        assert compare(one, other) is compare(i, j)
        # As text, which is what a status is after a detour by JSON, it keeps its place.
        assert compare(one, other.value) is compare(i, j)
        assert compare(one.value, other) is compare(i, j)
    assert sorted(reversed(Status)) == list(Status)


@pytest.mark.parametrize("compare", COMPARISONS[:4])
def test_a_status_does_not_compare_with_what_is_none(compare: Callable[[Any, Any], bool]) -> None:
    for other in (1, None):
        with pytest.raises(TypeError):
            compare(Status.LOG, other)


@pytest.mark.parametrize("msg", Msg)
def test_every_message_tells_a_status(msg: Msg) -> None:
    update = status_of(msg, {"msg": msg.value}, 1.5)
    assert (update.code, update.msg, update.time) == (CODES[msg], msg.value, 1.5)


def test_nothing_is_made_up() -> None:
    update = StatusUpdate(Status.STARTING, 2.5)
    assert update == {**dict.fromkeys(KEYS), "code": Status.STARTING, "time": 2.5}


def test_everything_that_the_server_says_is_there() -> None:
    message: Message = {
        "msg": "progress",
        "rank": 0,
        "queue_size": 3,
        "rank_eta": 0.0,
        "eta": 9.0,
        "success": True,
        "progress_data": [],
        "log": "",
        "level": "warning",
        "title": "T",
        "duration": 0.5,
    }
    assert status_of(Msg.PROGRESS, message, 4.0) == {
        "code": Status.PROGRESS,
        "msg": "progress",
        "rank": 0,
        "queue_size": 3,
        "eta": 0.0,
        "success": True,
        "time": 4.0,
        "progress_data": [],
        "log": ["", "warning"],
        "title": "T",
        "duration": 0.5,
    }


def test_the_estimate_is_of_the_place_in_the_queue_else_of_the_run() -> None:
    assert status_of(Msg.ESTIMATION, {"rank_eta": 2.0}, 0).eta == 2.0
    assert status_of(Msg.PROCESS_STARTS, {"eta": 3.0}, 0).eta == 3.0
    assert status_of(Msg.ESTIMATION, {"rank_eta": None, "eta": 3.0}, 0).eta == 3.0


def test_a_log_without_a_level_is_an_info() -> None:
    assert status_of(Msg.LOG, {"log": "x"}, 0).log == ["x", "info"]
    assert status_of(Msg.LOG, {"level": "info"}, 0).log is None


@pytest.mark.parametrize(
    ("unit", "progress"),
    [
        ({"index": 1, "length": 4, "progress": None}, 0.25),
        ({"index": 0, "length": 4}, 0.0),
        ({"index": 0.5, "length": 2.0}, 0.25),
        ({"index": 1, "length": 4, "progress": 0.9}, 0.9),  # the server knows best
        ({"index": 1, "length": 4, "progress": 0}, 0),
        ({"index": None, "length": None, "progress": 0.5}, 0.5),
        ({"index": 3, "length": None, "progress": None}, None),
        ({"index": None, "length": 3}, None),
        ({"index": 3, "length": 0}, None),
        ({"index": "1", "length": [2]}, None),
        ({"index": 10**400, "length": 1}, None),
        ({"index": 1e999, "length": 1e999}, None),
        ({"index": 1e308, "length": 1e-308}, None),
        ({}, None),
    ],
)
def test_the_fraction_is_filled_in_where_it_can_be(unit: Any, progress: float | None) -> None:
    given = copy.deepcopy(unit)
    units = progress_units({"progress_data": [unit]})
    assert units is not None
    empty = dict.fromkeys(("index", "length", "unit", "progress", "desc"))
    assert units == [{**empty, **unit, "progress": progress}]
    assert unit == given  # the message is not changed


def test_nested_loops_keep_their_order_and_what_else_is_said_of_them() -> None:
    units: list[Any] = [
        {"index": 1, "length": 2, "desc": "outer", "x": 1},
        {"index": 3, "length": 4},
    ]
    told = progress_units({"progress_data": units})
    assert told is not None
    assert [(u["desc"], u["progress"], u.get("x")) for u in told] == [
        ("outer", 0.5, 1),
        (None, 0.75, None),
    ]
    assert progress_units({"progress_data": None}) is None
    assert progress_units({}) is None


FULL = status_of(
    Msg.PROGRESS,
    {"msg": "progress", "progress_data": [{"index": 1, "length": 3}], "log": "x"},
    1.25,
)


def test_keys_are_attributes() -> None:
    for update in (FULL, StatusUpdate(Status.STARTING, 0.0)):
        assert set(update) == KEYS
        for key in KEYS:
            assert getattr(update, key) is update[key]
            assert not hasattr(dict, key)


def test_there_are_no_other_attributes() -> None:
    with pytest.raises(AttributeError, match="'rnk'"):
        _ = FULL.rnk
    assert not hasattr(FULL, "_code")


def test_attributes_are_read_only() -> None:
    before = dict(FULL)
    for name in ("code", "new"):
        with pytest.raises(AttributeError, match="read-only"):
            setattr(FULL, name, 1)
        with pytest.raises(AttributeError):
            delattr(FULL, name)
    assert dict(FULL) == before
    assert vars(FULL) == {}


@pytest.mark.parametrize(
    "again", [lambda u: pickle.loads(pickle.dumps(u)), copy.copy, copy.deepcopy]
)
def test_it_survives_being_pickled_and_copied(again: Callable[[Any], Any]) -> None:
    twin = again(FULL)
    assert twin == FULL
    assert twin is not FULL
    assert type(twin) is StatusUpdate
    assert twin.code is Status.PROGRESS


def test_a_deep_copy_shares_nothing() -> None:
    twin = copy.deepcopy(FULL)
    twin.progress_data[0]["index"] = 99
    assert FULL.progress_data[0]["index"] == 1


@given(
    st.sampled_from(Msg),
    st.dictionaries(
        st.sampled_from(sorted(Message.__annotations__)),
        st.none()
        | st.integers()
        | st.text(max_size=3)
        | st.floats(allow_nan=False)
        | st.lists(
            st.dictionaries(st.sampled_from(["index", "length", "progress"]), st.integers())
        ),
    ),
)
def test_whatever_the_server_says_can_be_sent_on_as_json(msg: Msg, said: dict[str, Any]) -> None:
    anomalies: list[str] = []
    text = json.dumps(said).replace("Infinity", "1e999")
    update = status_of(msg, parse_message(text, on_anomaly=anomalies.append), 0.5)
    assert json.loads(json.dumps(update)) == update


@pytest.mark.parametrize("version", [v for v in transcripts.versions() if v != "3.1.4"])
def test_the_statuses_of_real_jobs_come_in_order(version: str) -> None:
    seen: set[Status] = set()
    for scenario in transcripts.scenarios(version):
        for job in transcripts.load(version, scenario).expected["jobs"]:
            if job["protocol"] in ("http", "call"):
                continue
            kinds = [kind for kind, _ in job["message_kinds"] if kind != "heartbeat"]
            codes = [status_of(Msg(kind), {}, 0).code for kind in kinds]
            # SENDING_DATA comes before the estimation in 3.4.1, once.
            settled = [code for code in codes if code is not Status.SENDING_DATA]
            assert settled == sorted(settled), (scenario, kinds)
            seen.update(codes)
    assert {Status.IN_QUEUE, Status.PROCESSING, Status.FINISHED} <= seen
