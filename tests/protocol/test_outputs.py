"""The history of a job is the list of what it yielded, however it is kept."""

from __future__ import annotations

import copy
import json
import pickle
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from sansio_gradio.errors import RemoteProtocolError
from sansio_gradio.protocol.diff import compute_diff
from sansio_gradio.protocol.outputs import Change, Outputs, Slots, change_of
from tests.support import transcripts

Row = tuple[Any, ...]

ENOUGH = 10**9
OVERHEAD = 256  # what an entry is taken to cost beside its text

scalars = st.sampled_from([None, True, False, 0, 1, 1.0, 2.5, "", "a", "ab", "abc", "b"])
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=8,
)
rows = st.lists(values, min_size=1, max_size=3).map(tuple)


def exactly(value: object) -> str:
    """Tells 1, 1.0 and True apart, and the order of keys."""
    return json.dumps(value)


class Server:
    """What a server with diffs says of each yield; ``rows`` is what it meant."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def says(self, row: Row) -> list[Any]:
        """The ``data`` of the message. A job's slots may become more, never fewer."""
        before = self.rows[-1] if self.rows else ()
        row = (*row, *before[len(row) :])
        self.rows.append(row)
        if len(self.rows) == 1:
            return list(row)
        before = (*before, *[None] * (len(row) - len(before)))
        return [compute_diff(old, new) for old, new in zip(before, row, strict=True)]

    def text(self, row: Row) -> str:
        return text_of(self.says(row))

    def change(self, row: Row) -> Change:
        first = not self.rows
        return change_of(self.says(row), first=first, diffs=True)


def text_of(data: object) -> str:
    return json.dumps({"msg": "process_generating", "output": {"data": data}, "event_id": "e"})


def filled(history: Sequence[Row], *, limit: int = ENOUGH, texts: bool = False) -> Outputs:
    outputs, server = Outputs(diffs=True, limit=limit), Server()
    for row in history:
        text = server.text(row) if texts else ""
        outputs.add(text if texts else server.change(row), len(text))
    return outputs


# One yield


def test_a_first_yield_and_one_without_diffs_are_whole() -> None:
    data = ["a", [["append", [], "x"]], None]
    whole: Change = (
        [["replace", [], "a"]],
        [["replace", [], [["append", [], "x"]]]],
        [["replace", [], None]],
    )
    assert change_of(data, first=True, diffs=True) == whole
    assert change_of(data, first=False, diffs=False) == whole
    assert change_of([], first=True, diffs=True) == ()


def test_later_yields_are_edits() -> None:
    data: list[Any] = [[["append", [], "x"], ["delete", [0], None]], []]
    assert change_of(data, first=False, diffs=True) == tuple(data)


@pytest.mark.parametrize(
    "slot",
    ["text", 5, None, {"x": 1}, ["x"], [[]], [["append", []]], [["append", 0, "x"]], [None], [{}]],
)
def test_a_value_where_edits_are_due_is_refused(slot: Any) -> None:
    with pytest.raises(RemoteProtocolError):
        change_of([[], slot], first=False, diffs=True)


def test_slots_follow_the_changes_and_snapshots_stay() -> None:
    slots = Slots()
    assert (slots.snapshot(), slots.changes) == ((), 0)
    slots.apply(([["replace", [], ["a"]]],))
    first = slots.snapshot()
    slots.apply(([["add", [1], "b"]], [["replace", [], 5]]))  # a slot that is new starts as None
    second = slots.snapshot()
    slots.apply(([["append", [0], "x"]],))  # nothing is said of the other slot
    slots.apply(())
    assert (first, second) == ((["a"],), (["a", "b"], 5))
    assert (slots.snapshot(), slots.changes) == ((["ax", "b"], 5), 4)
    with pytest.raises(RemoteProtocolError):
        slots.apply(([["append", [], "x"]],))


# The history, whole


@given(st.lists(rows, max_size=12), st.lists(st.booleans(), min_size=12, max_size=12))
def test_it_is_the_list_of_what_was_yielded(history: list[Row], as_text: list[bool]) -> None:
    outputs, server = Outputs(diffs=True, limit=ENOUGH), Server()
    for row, text in zip(history, as_text, strict=False):
        outputs.add(server.text(row) if text else server.change(row), 10)
    assert exactly(list(outputs)) == exactly(server.rows)
    assert len(outputs) == len(server.rows)
    assert outputs.dropped == 0
    for index in range(-len(server.rows), len(server.rows)):
        assert exactly(outputs[index]) == exactly(server.rows[index])
    for index in (len(server.rows), -len(server.rows) - 1):
        with pytest.raises(IndexError):
            outputs[index]
    assert exactly(outputs[1:-1:2]) == exactly(server.rows[1:-1:2])
    assert exactly(list(reversed(outputs))) == exactly(server.rows[::-1])
    assert list(outputs) == list(outputs)


@given(st.lists(rows, min_size=1, max_size=6))
def test_without_diffs_every_yield_is_whole(history: list[Row]) -> None:
    outputs = Outputs(diffs=False, limit=ENOUGH)
    for row in history:
        outputs.add(text_of(row), 10)
    assert exactly([row[: len(own)] for row, own in zip(outputs, history, strict=True)]) == exactly(
        history
    )


def test_it_compares_with_any_sequence() -> None:
    history = [("a",), ("ab",)]
    outputs = filled(history)
    assert outputs == history
    assert outputs == tuple(history)
    assert outputs == filled(history, texts=True)
    assert outputs != history[:1]
    assert outputs != "ab"
    assert filled([]) == ()
    assert filled([]) != ""
    assert filled([]) != b""
    assert outputs != 5
    assert ("ab",) in outputs
    assert outputs.index(("ab",)) == 1


def test_it_shows_how_much_there_is_and_not_what() -> None:
    assert repr(filled([("secret",)] * 3)) == "<Outputs: 3 kept, 0 skipped>"


def test_it_survives_being_pickled() -> None:
    outputs = filled([("a", 1), ("ab", 2)], texts=True)
    assert pickle.loads(pickle.dumps(outputs)) == [("a", 1), ("ab", 2)]


@given(st.lists(rows, min_size=1, max_size=8))
def test_a_row_never_changes_once_it_was_seen(history: list[Row]) -> None:
    outputs, server, seen = Outputs(diffs=True, limit=3 * OVERHEAD), Server(), list[Any]()
    for row in history:
        outputs.add(server.change(row), 0)
        for got in (outputs[-1], *outputs):
            seen.append((got, copy.deepcopy(got)))
    assert all(exactly(got) == exactly(then) for got, then in seen)


def test_recorded_generators_are_read_from_their_texts() -> None:
    count = 0
    for version in ("4.19.2", "4.44.1", "6.31.0"):
        for scenario in transcripts.scenarios(version):
            expected = transcripts.load(version, scenario).expected
            for job in expected["jobs"]:
                outputs = Outputs(diffs=True, limit=ENOUGH)
                for message in said_of(job["key"], expected):
                    outputs.add(json.dumps(message), 100)
                kinds = {kind for kind, _ in job["message_kinds"]}
                if "process_generating" in kinds and "after_end" not in job:
                    assert exactly(list(outputs)) == exactly(job["outputs"]), (version, scenario)
                    count += len(outputs)
    assert count > 200


def said_of(event_id: str, expected: Any) -> list[Any]:
    return [
        message
        for exchange in expected["exchanges"]
        for message in exchange.get("messages", ())
        if message.get("event_id") == event_id and message.get("msg") == "process_generating"
    ]


# Beyond the limit


@given(
    st.lists(st.tuples(rows, st.integers(0, 2000), st.booleans()), min_size=1, max_size=10),
    st.integers(1, 5000),
)
def test_beyond_the_limit_the_oldest_are_skipped_and_the_rest_is_exact(
    history: list[tuple[Row, int, bool]], limit: int
) -> None:
    outputs, server, sizes = Outputs(diffs=True, limit=limit), Server(), list[int]()
    for row, size, text in history:
        outputs.add(server.text(row) if text else server.change(row), size)
        sizes.append(size + OVERHEAD)
        assert outputs.dropped + len(outputs) == len(server.rows)
        assert exactly(list(outputs)) == exactly(server.rows[outputs.dropped :])
        assert exactly(outputs[-1]) == exactly(server.rows[-1])  # the newest is always there
        assert len(outputs) == 1 or sum(sizes[outputs.dropped :]) <= limit
    if sum(sizes) <= limit:
        assert outputs.dropped == 0


def test_what_fits_is_not_dropped() -> None:
    outputs = filled([(n,) for n in range(10)], limit=10 * OVERHEAD)
    assert (len(outputs), outputs.dropped) == (10, 0)
    outputs.add(([["replace", [], 10]],), 0)
    assert list(outputs) == [
        (n,) for n in range(2, 11)
    ]  # and one more, so as not to drop each time
    assert repr(outputs) == "<Outputs: 9 kept, 2 skipped>"


@pytest.mark.parametrize("texts", [False, True])
def test_the_cost_of_a_long_history_is_linear(texts: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    applied = 0
    apply = Slots.apply

    def counted(self: Slots, change: Change) -> None:
        nonlocal applied
        applied += 1
        apply(self, change)

    monkeypatch.setattr(Slots, "apply", counted)
    history = [("x" * n,) for n in range(1, 1000)]
    outputs = filled(history, limit=50 * 400, texts=texts)
    assert 10 < len(outputs) <= 79
    assert applied < 3 * len(history)
    applied = 0
    kept = {len(outputs), len(outputs), sum(1 for _ in outputs)}
    assert len(kept) == 1
    assert applied <= 2 * (len(outputs) + 1)


@pytest.mark.unmeasured
@pytest.mark.parametrize("texts", [False, True])
def test_nobody_waits_long_for_the_oldest_to_be_dropped(
    texts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    applied = 0
    apply = Slots.apply

    def counted(self: Slots, change: Change) -> None:
        nonlocal applied
        applied += 1
        apply(self, change)

    monkeypatch.setattr(Slots, "apply", counted)
    outputs, server = Outputs(diffs=True, limit=1280 * OVERHEAD), Server()
    follower = outputs.follow()
    for number in range(4000):
        row: Row = (number,)
        outputs.add(server.text(row) if texts else server.change(row), 0)
        added, applied = applied, 0
        assert added <= 1280 / 256 + 2
        # Nor for the newest, which those who have seen the one before see with one step more.
        assert next(follower) == outputs[-1] == row
        assert applied == 2
        applied = 0
    assert 1200 < len(outputs) <= 1280


@pytest.mark.parametrize(
    "look", [len, lambda outputs: outputs[-1], lambda outputs: (outputs[0], len(outputs))]
)
def test_to_look_at_it_time_and_again_costs_no_more_than_to_look_once(
    look: Callable[[Outputs], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    applied: list[Change] = []
    apply = Slots.apply

    def counted(self: Slots, change: Change) -> None:
        applied.append(change)
        apply(self, change)

    monkeypatch.setattr(Slots, "apply", counted)
    outputs = Outputs(diffs=True, limit=ENOUGH)
    for n in range(100):
        outputs.add(text_of([n] if n == 0 else [[["replace", [], n]]]), 0)
        assert outputs.received == n + 1
        look(outputs)
    assert len(applied) <= 200


def test_a_look_from_before_the_oldest_were_dropped_is_of_no_use() -> None:
    outputs = Outputs(diffs=True, limit=10 * OVERHEAD)
    outputs.add(whole("a"), 0)
    assert outputs[0] == ("a",)
    for _ in range(20):
        outputs.add(more("b"), 0)
    assert outputs.dropped > 1
    assert outputs[-1] == ("a" + "b" * 20,)


@pytest.mark.unmeasured
def test_several_threads_may_look_at_once() -> None:
    outputs = Outputs(diffs=True, limit=ENOUGH)
    interval = sys.getswitchinterval()
    wrong: list[int] = []

    def look() -> None:
        for n in [*range(200), *range(200)]:
            if outputs[n] != (n,):
                wrong.append(n)

    for n in range(200):
        outputs.add(([["replace", [], n]],), 0)
    threads = [threading.Thread(target=look) for _ in range(4)]
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert wrong == []


# The outputs up to a moment


@given(st.lists(rows, min_size=1, max_size=12), st.integers(0, 12), st.integers(1, 9 * OVERHEAD))
def test_the_outputs_up_to_a_moment_stay_as_they_were(
    history: list[Row], moment: int, limit: int
) -> None:
    outputs, server = Outputs(diffs=True, limit=limit), Server()
    so_far, expected = outputs.so_far(), list[Row]()
    for number, row in enumerate(history):
        if number == moment:
            so_far, expected = outputs.so_far(), server.rows[outputs.dropped :]
        outputs.add(server.change(row), 0)
    assert exactly(list(so_far)) == exactly(expected)
    assert exactly(list(reversed(so_far))) == exactly(expected[::-1])
    assert len(so_far) == len(expected)
    for index in reversed(range(-len(expected), len(expected))):
        assert exactly(so_far[index]) == exactly(expected[index])
    for index in (len(expected), -len(expected) - 1):
        with pytest.raises(IndexError):
            so_far[index]
    for chosen in (slice(None), slice(1, -1, 2), slice(None, None, -2), slice(5, 2)):
        assert exactly(so_far[chosen]) == exactly(expected[chosen])
    assert so_far == expected


def test_up_to_a_moment_what_was_dropped_is_left_out() -> None:
    text = "x" * 20_000  # such a base is copied seldom
    outputs = Outputs(diffs=True, limit=10 * OVERHEAD)
    outputs.add(whole(text), 0)
    for number in range(30):
        outputs.add(more("b"), 0)
        so_far, first = outputs.so_far(), outputs.dropped
        expected: list[Row] = [(text + "b" * n,) for n in range(first, number + 2)]
        assert list(so_far) == so_far[:] == list(reversed(so_far))[::-1] == expected


@pytest.mark.parametrize("bad", ["{", None])
@pytest.mark.parametrize("is_known", [False, True])
def test_up_to_a_moment_what_cannot_be_read_ends_them_too(bad: str | None, is_known: bool) -> None:
    outputs = filled([("a",), ("b",)], texts=True)
    before = outputs.so_far()
    if bad is None:
        outputs.end("it is bad")
    else:
        outputs.add(bad, 1)
    after = outputs.so_far()
    outputs.finish(("result",))
    if is_known:
        assert outputs.skipped == 1
    last = outputs.so_far()
    for so_far, expected in ((before, 2), (after, 2), (last, 3)):
        rows: list[Row] = [("a",), ("b",), ("result",)][:expected]
        assert list(so_far) == rows
        assert (len(so_far), so_far[:], list(reversed(so_far))) == (expected, rows, rows[::-1])
        assert repr(so_far) == f"<OutputsSoFar: {expected}>"


def newest(outputs: Sequence[Row]) -> object:
    return outputs[-1], outputs[-2], outputs[-1]


def back_and_on(outputs: Sequence[Row]) -> object:
    return [outputs[n] for n in (-1, 10, *range(20, 900), -1, -1)]


@pytest.mark.parametrize(
    ("look", "parsed", "made"),
    [
        (len, 1, 1),
        (lambda outputs: (len(outputs), len(outputs)), 1, 1),
        (newest, 2, 4),
        (lambda outputs: outputs[-3:], 2, 5),
        (list, 2, 1001),  # which asks for the length, too
        (lambda outputs: [outputs[n] for n in range(len(outputs))], 2, 1001),
        (back_and_on, 2, 890),
        (lambda outputs: list(reversed(outputs)), 5, 1300),
        (lambda outputs: outputs[::-1], 2, 1001),
    ],
)
@pytest.mark.parametrize("limit", [ENOUGH, 1100 * 400])
def test_each_text_is_parsed_a_few_times_and_a_value_made_where_it_is_read(
    look: Callable[[Sequence[Row]], object],
    parsed: int,
    made: int,
    limit: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counts = {"parsed": 0, "made": 0}
    apply, snapshot = Slots.apply, Slots.snapshot

    def counted(self: Slots, change: Change) -> None:
        counts["parsed"] += 1
        apply(self, change)

    def seen(self: Slots) -> Row:
        counts["made"] += 1
        return snapshot(self)

    outputs = Outputs(diffs=True, limit=limit)
    outputs.add(text_of([""]), 144)
    for _ in range(999 if limit == ENOUGH else 1999):
        outputs.add(text_of([[["append", [], "x" * 8]]]), 144)
    count = outputs.received - outputs.dropped
    monkeypatch.setattr(Slots, "apply", counted)
    monkeypatch.setattr(Slots, "snapshot", seen)
    for so_far in (outputs.so_far(), outputs):  # the first has read nothing yet
        counts.update(parsed=0, made=0)
        look(so_far)
        assert counts["parsed"] <= parsed * (count + 100)
        assert counts["made"] <= made * count / 1000 + 2


# What cannot be read

BAD_TEXTS = [
    "",
    "{",
    "[]",
    '{"msg":"process_generating"}',
    '{"msg":"process_generating","output":{}}',
    '{"msg":"process_generating","output":{"data":"x"}}',
    text_of(["a value where edits are due"]),
    text_of([[["append", ["no", "such", "place"], "x"]]]),
    text_of([[["replace", [], "partly"], ["explode", [], None]]]),
    "[" * 10_000,
]


@pytest.mark.parametrize("bad", BAD_TEXTS)
@pytest.mark.parametrize("good", range(4))
def test_what_cannot_be_read_ends_the_outputs(bad: str, good: int) -> None:
    if good == 0 and bad in BAD_TEXTS[6:9]:
        return  # as a first yield they are values like others
    history: list[Row] = [(f"row {n}",) for n in range(good)]
    outputs = filled(history, texts=True)
    outputs.add(bad, 10)
    outputs.add(text_of([[["replace", [], "after"]]]), 10)
    assert list(outputs) == history
    outputs.add(text_of([[["replace", [], "later"]]]), 10)
    assert len(outputs) == good
    assert outputs == history
    assert outputs[:] == history
    assert list(reversed(outputs)) == history[::-1]
    with pytest.raises(IndexError):
        outputs[good]


@pytest.mark.parametrize("look", [len, list, repr, lambda outputs: outputs == []])
def test_whoever_looks_first_finds_the_same(look: Any) -> None:
    outputs = filled([("a",), ("b",)], texts=True)
    outputs.add("{", 1)
    look(outputs)
    assert (len(outputs), list(outputs), outputs[-1]) == (2, [("a",), ("b",)], ("b",))


def test_what_cannot_be_read_is_found_by_dropping_too() -> None:
    history: list[Row] = [(n,) for n in range(4)]
    outputs = filled(history, limit=20 * OVERHEAD, texts=False)
    outputs.add("{", 0)
    for _ in range(50):
        outputs.add(text_of([[]]), 0)
    assert (list(outputs), outputs.dropped) == ([], 4)
    assert len(outputs._kept.entries) < 20  # and nothing more is kept


def test_a_first_text_beyond_the_limit_is_a_first_text_still() -> None:
    outputs = Outputs(diffs=True, limit=1)
    outputs.add(text_of(["abc"]), 1000)
    assert list(outputs) == [("abc",)]
    outputs.add(text_of([[["append", [], "d"]]]), 1000)
    assert list(outputs) == [("abcd",)]


@given(
    st.lists(st.tuples(rows, st.booleans()), min_size=1, max_size=10),
    st.sampled_from(BAD_TEXTS),
    st.integers(0, 10),
    st.integers(1, 8 * OVERHEAD),
)
def test_where_it_ends_does_not_depend_on_when_somebody_looks(
    history: list[tuple[Row, bool]], bad: str, after: int, limit: int
) -> None:
    outputs, server = Outputs(diffs=True, limit=limit), Server()
    for row, text in history:
        outputs.add(server.text(row) if text else server.change(row), 10)
    for entry in (bad, *[text_of([[["replace", [], "later"]]])] * after):
        outputs.add(entry, 10)
    rest = server.rows[outputs.dropped :]
    assert exactly(list(outputs)) == exactly(rest)
    assert len(outputs) == len(rest)
    assert len(outputs) < 2 or OVERHEAD * len(outputs) <= limit


class GrowingHistory(RuleBasedStateMachine):
    """Readers, each at its own pace, of a history that grows and forgets, and may break."""

    readers = Bundle("readers")
    reached: ClassVar[set[str]] = set()

    @initialize(limit=st.sampled_from([ENOUGH, 3 * OVERHEAD, 8 * OVERHEAD]))
    def begin(self, limit: int) -> None:
        self.outputs = Outputs(diffs=True, limit=limit)
        self.server = Server()
        self.broken = False

    @rule(row=rows, as_text=st.booleans(), size=st.sampled_from([0, 10, 1000]))
    def the_job_yields(self, row: Row, as_text: bool, size: int) -> None:
        if self.broken:
            self.outputs.add(text_of([[["replace", [], "after the break"]]]), size)
        elif as_text:
            self.outputs.add(self.server.text(row), size)
        else:
            self.outputs.add(self.server.change(row), size)

    @precondition(lambda self: self.server.rows and not self.broken)
    @rule(bad=st.sampled_from(BAD_TEXTS))
    def the_server_breaks(self, bad: str) -> None:
        self.outputs.add(bad, 10)
        self.broken = True
        self.reached.add("broken")

    @rule(target=readers)
    def somebody_begins_to_read(self) -> list[Any]:
        return [iter(self.outputs), 0]

    @rule(reader=readers)
    def a_reader_goes_on(self, reader: list[Any]) -> None:
        iterator, place = reader
        if iterator is None:
            return
        if place < self.outputs.dropped:
            self.reached.add("overtaken")
        place = max(place, self.outputs.dropped)
        if place < len(self.server.rows):
            assert exactly(next(iterator)) == exactly(self.server.rows[place])
            reader[1] = place + 1
        else:
            assert list(iterator) == []
            reader[0] = None

    @rule(reader=consumes(readers))
    def a_reader_reads_the_rest(self, reader: list[Any]) -> None:
        iterator, place = reader
        if iterator is not None:
            place = max(place, self.outputs.dropped)
            assert exactly(list(iterator)) == exactly(self.server.rows[place:])

    @invariant()
    def it_is_what_was_yielded_without_the_skipped(self) -> None:
        rest = self.server.rows[self.outputs.dropped :]
        assert len(self.outputs) == len(rest)
        assert exactly(self.outputs[:]) == exactly(rest)


TestGrowingHistory = GrowingHistory.TestCase
# Each step looks at all that there is.
TestGrowingHistory.settings = settings(max_examples=settings().max_examples // 2)


@pytest.mark.exhaustive
def test_the_machine_gets_everywhere() -> None:
    GrowingHistory.reached.clear()
    run_state_machine_as_test(
        GrowingHistory, settings=settings(max_examples=100, derandomize=True, database=None)
    )
    assert GrowingHistory.reached == {"broken", "overtaken"}


def test_it_is_read_in_other_threads_while_it_grows() -> None:
    total, outputs, done = 3000, Outputs(diffs=True, limit=40 * OVERHEAD), threading.Event()
    seen: list[list[int]] = []

    def read() -> None:
        while not done.is_set():
            seen.append([row[0] for row in outputs])
            assert len(outputs) <= 41  # one is appended before others are dropped

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for n in range(total):
        outputs.add(([["replace", [], n]],), 0)
    done.set()
    for reader in readers:
        reader.join()
    for numbers in seen:
        assert numbers == sorted(set(numbers))
    assert [row[0] for row in outputs] == list(range(outputs.dropped, total))


# Following


def whole(value: Any) -> Change:
    return ([["replace", [], value]],)


def more(text: str) -> Change:
    return ([["append", [], text]],)


def ready(reader: Iterator[Row | None]) -> list[Row]:
    """What there is to read now."""
    return list(takewhile(lambda row: row is not None, reader))  # type: ignore[arg-type]


def test_what_grows_can_be_followed() -> None:
    outputs = Outputs(diffs=True, limit=ENOUGH)
    reader = outputs.follow()
    assert ready(reader) == []
    outputs.add(whole("a"), 1)
    outputs.add(more("b"), 1)
    assert ready(reader) == [("a",), ("ab",)]
    assert ready(reader) == []
    outputs.add(more("c"), 1)
    assert ready(reader) == [("abc",)]
    assert ready(outputs.follow()) == [("a",), ("ab",), ("abc",)]


@pytest.mark.parametrize("wrong", ["no JSON", ([["append", [0], "b"]],)])
def test_whoever_follows_gets_as_far_as_it_can_be_read(wrong: Change | str) -> None:
    outputs = Outputs(diffs=True, limit=ENOUGH)
    reader = outputs.follow()
    for change in (whole("a"), wrong, whole("c")):
        outputs.add(change, 1)
    assert ready(reader) == [("a",)]
    assert ready(reader) == []
    assert (len(outputs), list(outputs)) == (1, [("a",)])
    outputs.add(whole("d"), 1)
    assert ready(reader) == []


@given(
    st.lists(st.one_of(st.text(max_size=3), st.none()), min_size=20, max_size=40),
    st.integers(1, 3000),
)
def test_whoever_keeps_up_misses_nothing_however_little_is_kept(
    steps: list[str | None], limit: int
) -> None:
    """None: the reader who does not keep up looks at what there is."""
    outputs = Outputs(diffs=True, limit=limit)
    eager, lazy = outputs.follow(), outputs.follow()
    text, expected, seen, seen_late = "", list[str](), list[str](), list[str]()
    for step in steps:
        if step is None:
            seen_late += [value for (value,) in ready(lazy)]
            continue
        text += step
        expected.append(text)
        outputs.add(more(step) if len(expected) > 1 else whole(step), len(step))
        seen += [value for (value,) in ready(eager)]
    seen_late += [value for (value,) in ready(lazy)]
    assert seen == expected
    assert seen_late[-1:] == expected[-1:]
    rest = iter(expected)
    assert all(value in rest for value in seen_late)  # in order, with gaps


# Values that grow


def grown(outputs: Outputs, count: int, size: int) -> None:
    """The text of an output grows by *size* for so many times."""
    text = text_of([[["append", [], "x" * size]]])
    outputs.add(text_of([""]))
    for _ in range(count):
        outputs.add(text)


@pytest.mark.parametrize("limit", [1, 10_000, 1_000_000])
def test_what_is_copied_is_linear_in_what_came(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is kept: after a snapshot the next edit copies the text."""
    exposed = 0
    snapshot = Slots.snapshot

    def counted(self: Slots) -> Row:
        nonlocal exposed
        exposed += self.weight
        return snapshot(self)

    monkeypatch.setattr(Slots, "snapshot", counted)
    for count in (100, 1000):
        exposed = 0
        outputs = Outputs(diffs=True, limit=limit)
        grown(outputs, count, 1000)
        assert exposed <= 12 * count * 1000
        assert outputs[-1] == ("x" * 1000 * count,)
        assert outputs.skipped == count + 1 - len(outputs)


def add_all(outputs: Outputs, changes: Sequence[Change | str]) -> None:
    for change in changes:
        outputs.add(change)


KINDS_OF_GROWTH: list[tuple[Any, Any]] = [
    ("", ["append", [], "x" * 100]),
    ([], ["add", [0], "x" * 100]),
    ([], ["add", [0], {"k" * 50: ["x"] * 3}]),
    ([], ["add", [0], []]),
    ({"a": {"b": ""}}, ["append", ["a", "b"], "x" * 100]),
]


@pytest.mark.unmeasured
@pytest.mark.parametrize(("first", "edit"), KINDS_OF_GROWTH)
@pytest.mark.parametrize("limit", [1, ENOUGH])
@pytest.mark.parametrize("texts", [False, True])
def test_a_value_has_a_limit_however_it_grows(
    first: Any, edit: Any, limit: int, texts: bool
) -> None:
    outputs = Outputs(diffs=True, limit=limit, value_limit=20_000)
    outputs.add(text_of([first]) if texts else whole(first))
    added: Any = text_of([[edit]]) if texts else ([edit],)
    with pytest.raises(RemoteProtocolError, match=r"Limits\.value"):
        add_all(outputs, [added] * 2000)
    newest = json.dumps(outputs[-1])
    assert 1000 < len(newest) < 30_000
    assert not outputs.has_ended
    assert outputs.received == outputs.skipped + len(outputs)


@pytest.mark.unmeasured
def test_keys_that_grow_count_too_and_what_goes_does_not() -> None:
    outputs = Outputs(diffs=True, limit=1, value_limit=10_000)
    outputs.add(whole({}))
    for number in range(2000):
        key = f"{number}" + "k" * 100
        outputs.add(([["add", [key], "v"], ["replace", [key], "w"], ["add", [key], "x"]],))
        outputs.add(([["delete", [key], None]],))
        outputs.add(whole(["x" * 3000]))
        outputs.add(([["delete", [0], None]],))
        outputs.add(whole({}))
    keys: list[Change] = [([["add", [f"{n}" + "k" * 100], None]],) for n in range(2000)]
    with pytest.raises(RemoteProtocolError, match=r"Limits\.value"):
        add_all(outputs, keys)


def test_where_every_yield_is_whole_nothing_grows() -> None:
    outputs = Outputs(diffs=False, limit=1, value_limit=100)
    for _ in range(10):
        outputs.add(text_of(["x" * 1000]))
    assert outputs[-1] == ("x" * 1000,)


def test_one_that_is_read_as_it_comes_knows_its_end_at_once() -> None:
    outputs = Outputs(diffs=True, limit=ENOUGH, eager=True)
    for text in (text_of(["a"]), "{", text_of([[]])):
        outputs.add(text)
    assert (outputs.has_ended, outputs.skipped, list(outputs)) == (True, 2, [("a",)])
    assert outputs.newest() is None
    assert "JSON" in outputs.why_ended
    outputs.end("another reason")
    assert "JSON" in outputs.why_ended
    assert (outputs.skipped, outputs.received) == (3, 4)


# The result in place of what cannot be read


@pytest.mark.parametrize("bad", BAD_TEXTS)
@pytest.mark.parametrize("look", [len, lambda outputs: outputs[-1], list, lambda _: None])
def test_the_result_is_the_last_output_where_others_cannot_be_read(bad: str, look: Any) -> None:
    outputs = filled([("a",), ("ab",)], texts=True)
    reader = outputs.follow()
    assert ready(reader) == [("a",), ("ab",)]
    outputs.add(bad)
    outputs.add(text_of([[]]))
    look(outputs)
    outputs.finish(("result",))
    expected = [("a",), ("ab",), ("result",)]
    assert ready(reader) == expected[2:]
    assert ready(reader) == []
    assert (list(outputs), len(outputs), outputs.skipped) == (expected, 3, 2)
    assert [outputs[n] for n in range(-3, 3)] == expected * 2
    assert outputs[1:] == expected[1:]
    with pytest.raises(IndexError):
        outputs[3]


def test_the_result_is_no_output_where_all_can_be_read() -> None:
    outputs = filled([("a",), ("ab",)], texts=True)
    outputs.finish(("result",))
    assert list(outputs) == [("a",), ("ab",)]
    assert (len(outputs), outputs.skipped) == (2, 0)


def test_all_may_be_unreadable_or_dropped() -> None:
    outputs = Outputs(diffs=True, limit=10 * OVERHEAD)
    for text in (text_of(["x" * 20_000]), "{", *[text_of([[]])] * 50):
        outputs.add(text)
    outputs.finish(("result",))
    assert outputs[-1] == ("result",)
    assert list(outputs)[-1:] == [("result",)]
    assert outputs.skipped + len(outputs) - 1 == outputs.received == 52


@pytest.mark.parametrize("start", [0, 1, 2, 3, 4])
def test_who_follows_from_a_place_is_told_what_comes_behind_it(start: int) -> None:
    outputs = Outputs(diffs=False, limit=1000)
    for number in range(3):
        outputs.add(whole(number))
    found = list(takewhile(lambda one: one is not None, outputs.follow_from(start)))
    assert found == [(place, (place,)) for place in range(start, 3)]
