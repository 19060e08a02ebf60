"""What is kept of a job for those who read late or slowly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_gradio.protocol.diff import weigh
from sansio_gradio.protocol.messages import Message
from sansio_gradio.protocol.outputs import Change
from sansio_gradio.protocol.status import Status, StatusUpdate
from sansio_gradio_adapters._history import (
    KEPT_STATUSES,
    KEPT_WAITING,
    MessageQueue,
    Nothing,
    StatusHistory,
)

LIMIT = 1 << 20


def whole(*values: Any) -> Change:
    return tuple([["replace", [], value]] for value in values)


def more(text: str) -> Change:
    return ([["append", [], text]],)


def status(code: Status, said: Message | None = None) -> StatusUpdate:
    return StatusUpdate(code, 0.0, said)


def ready(reader: Iterator[Any]) -> list[Any]:
    """What there is to read now."""
    found: list[Any] = []
    for item in reader:
        if item is Nothing.YET:
            break
        found.append(item)
    return found


# Statuses


def test_statuses_are_found_by_their_place() -> None:
    history = StatusHistory(LIMIT)
    assert history.at(0) is None
    first, second = status(Status.IN_QUEUE), status(Status.PROCESSING)
    history.add(0, first)
    history.add(3, second)
    assert history.at(0) == (0, 0, first)
    assert history.at(1) == (1, 3, second)
    assert history.at(2) is None


def everything_in(history: StatusHistory) -> list[tuple[int, int, Any]]:
    """What somebody reads who comes late."""
    found: list[tuple[int, int, Any]] = []
    while (entry := history.at(found[-1][0] + 1 if found else 0)) is not None:
        found.append(entry)
    return found


def test_of_very_many_statuses_the_newest_are_kept() -> None:
    history = StatusHistory(LIMIT)
    many = 10 * KEPT_STATUSES
    for rank in range(many):
        history.add(0, status(Status.PROGRESS, {"rank": rank}))
        assert history.at(rank) is not None  # whoever keeps up misses nothing
    kept = [entry[2].rank for entry in everything_in(history)]
    assert kept == list(range(kept[0], many))
    assert KEPT_STATUSES <= len(kept) <= 2 * KEPT_STATUSES


def test_of_places_in_the_queue_the_newest_are_kept_and_all_that_is_not_stale() -> None:
    history = StatusHistory(LIMIT)
    said: list[StatusUpdate] = []
    for _ in range(3):
        for rank in reversed(range(7 * KEPT_WAITING)):
            said.append(status(Status.IN_QUEUE, {"rank": rank}))
        said += [status(Status.PROGRESS), status(Status.LOG, {"log": "hello"})]
    for place, update in enumerate(said):
        history.add(place // 100, update)
        # Whoever keeps up misses nothing.
        assert history.at(place) == (place, place // 100, update)
    late = everything_in(history)
    assert all(said[place] is update for place, _, update in late)
    others = [update for _, _, update in late if update.code is not Status.IN_QUEUE]
    assert others == [update for update in said if update.code is not Status.IN_QUEUE]
    ranks = [update.rank for _, _, update in late if update.code is Status.IN_QUEUE]
    run = list(reversed(range(len(ranks) // 3)))
    assert ranks == 3 * run
    assert KEPT_WAITING <= len(run) < 2 * KEPT_WAITING


@given(st.lists(st.tuples(st.integers(0, 30), st.booleans(), st.integers(0, 300)), max_size=30))
def test_the_bounds_hold_together(runs: list[tuple[int, bool, int]]) -> None:
    limit = 6000
    history = StatusHistory(limit)
    count = 0
    for length, in_queue, size in runs:
        code = Status.IN_QUEUE if in_queue else Status.PROGRESS
        for _ in range(length):
            history.add(count, status(code, {"log": size * "x"}))
            count += 1
            kept = everything_in(history)
            places = [place for place, _, _ in kept]
            assert places == sorted(set(places))
            assert places == [before for _, before, _ in kept]
            assert places[-1] == count - 1
            weights = [weigh(update) for _, _, update in kept]
            assert sum(weights) <= limit
            assert len(kept) >= min(count, KEPT_WAITING)


def test_statuses_are_bounded_in_bytes_and_the_newest_stays() -> None:
    history = StatusHistory(LIMIT)
    for number in range(100):
        history.add(number, status(Status.LOG, {"log": str(number) + "y" * (LIMIT // 10)}))
    kept = [before for _, before, _ in everything_in(history)]
    assert kept == list(range(kept[0], 100))
    assert 4 <= len(kept) <= 10
    history.add(100, status(Status.LOG, {"log": "y" * 3 * LIMIT}))
    history.add(101, status(Status.LOG, {"log": "y" * 3 * LIMIT}))
    assert history.at(101) is not None
    assert history.at(0) == history.at(101)


# Messages


def generating(data: list[Any]) -> Message:
    return {"msg": "process_generating", "output": {"data": data, "is_generating": True}}


def test_edits_are_made_whole_in_messages() -> None:
    queue = MessageQueue(LIMIT)
    queue.add(generating(["a"]))
    queue.add_change(whole("a"))
    edits: Change = ([["append", [], "b"]],)
    as_sent = generating(list(edits))
    queue.add(as_sent)
    queue.add_change(edits)
    assert queue.take() == generating(["a"])
    assert queue.take() == generating(["ab"])
    assert queue.take() is Nothing.YET
    assert as_sent == generating([[["append", [], "b"]]])  # observers have it, too


def test_what_is_made_whole_keeps_the_order_in_which_it_was_sent() -> None:
    queue = MessageQueue(LIMIT)
    queue.add({"msg": "process_generating", "output": {"data": ["a"], "is_generating": True}})
    queue.add_change(whole("a"))
    message = queue.take()
    assert isinstance(message, dict)
    assert list(message.get("output") or ()) == ["data", "is_generating"]


def test_a_message_is_held_until_it_is_clear_what_it_yields() -> None:
    queue = MessageQueue(LIMIT)
    queue.add({"msg": "estimation", "rank": 0})
    assert queue.take() is Nothing.YET
    queue.release()
    assert queue.take() == {"msg": "estimation", "rank": 0}
    queue.release()
    assert queue.take() is Nothing.YET


def test_the_next_message_releases_the_one_before() -> None:
    queue = MessageQueue(LIMIT)
    queue.add({"msg": "process_starts"})
    queue.add({"msg": "log", "log": "hello"})
    assert queue.take() == {"msg": "process_starts"}


def test_a_yield_that_did_not_fit_has_no_data_and_is_counted() -> None:
    queue = MessageQueue(LIMIT)
    queue.add(generating(["a"]))
    queue.add_change(whole("a"))
    queue.add(generating([[["append", ["nowhere"], "b"]]]))
    queue.release()
    assert queue.take() == generating(["a"])
    taken = queue.take()
    assert taken == {"msg": "process_generating", "output": {"is_generating": True}}
    assert queue.skipped == 1


def test_a_change_without_a_message_is_dropped() -> None:
    queue = MessageQueue(LIMIT)
    queue.add_change(whole("a"))
    assert queue.take() is Nothing.YET


def test_the_fraction_of_the_progress_is_filled_in() -> None:
    queue = MessageQueue(LIMIT)
    unit = {"index": 1, "length": 4, "unit": "steps", "progress": None, "desc": None}
    queue.add({"msg": "progress", "progress_data": [unit]})
    queue.release()
    message = queue.take()
    assert isinstance(message, dict)
    assert message.get("progress_data") == [{**unit, "progress": 0.25}]
    assert unit["progress"] is None


@given(st.lists(st.text(max_size=20), min_size=10), st.integers(1, 400))
def test_messages_that_nobody_reads_are_dropped_and_counted(texts: list[str], limit: int) -> None:
    queue = MessageQueue(limit)
    text = ""
    for count, piece in enumerate(texts):
        text += piece
        queue.add({"msg": "log", "log": piece})
        queue.add(generating([]))
        queue.add_change(more(piece) if count else whole(piece))
    queue.add({"msg": "process_completed", "output": {"data": [text]}})
    queue.release()
    taken = list[Message]()
    while not isinstance(message := queue.take(), Nothing):
        taken.append(message)
    assert queue.skipped + len(taken) == 2 * len(texts) + 1
    assert taken[-1].get("msg") == "process_completed"
    if len(taken) > 1:
        assert taken[-2] == generating([text])


@pytest.mark.parametrize(
    ("value", "least"),
    [("x" * 100, 100), (["x" * 100, {"k": "y" * 50}], 150), (list(range(100)), 100), (None, 0)],
)
def test_the_weight_of_a_value_counts_its_texts(value: Any, least: int) -> None:
    assert least <= weigh(value) <= 20 * least + 100
