"""Edits: applied exactly and computed exactly."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fuzz import diff as fuzz_target
from sansio_gradio.errors import RemoteProtocolError
from sansio_gradio.protocol.diff import MAX_PATH, Value, apply_diff, compute_diff, weigh
from tests.support.corpora import cases_of

# Few of each kind, so that drawn values have things in common.
scalars = st.sampled_from([None, True, False, 0, 1, 1.0, 0.0, -0.0, 2.5, 7, "", "a", "ab", "b"])
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=12,
)


def exactly(value: Any) -> str:
    """Tells 1, 1.0 and True apart, and the order of keys."""
    return json.dumps(value)


# --- apply_diff


@pytest.mark.parametrize(
    ("value", "edits", "expected"),
    [
        ("ab", [["append", [], "cd"]], "abcd"),
        (None, [["replace", [], {"a": 1}]], {"a": 1}),
        ({"a": 1}, [], {"a": 1}),
        ([1, 2, 3, 4], [["delete", [i], None] for i in (1, 2, 3)], [1]),  # 4.17 to 5.29.0
        ([1, 2, 3, 4], [["delete", [1], None]] * 3, [1]),  # 5.29.1 and later
        (
            [[1, 2, 3], [4, 5, 6]],
            [["delete", p, None] for p in ([0, 1], [0, 0], [1, -1], [1, -2])],  # 5.36 and later
            [[1], [4]],
        ),
        ([], [["add", [0], 1], ["add", [1], 2]], [1, 2]),
        ([1], [["add", [0], 2]], [1, 2]),
        ([1], [["add", [None], 2], ["add", ["a"], 3], ["delete", [True], None]], [1, 2]),
        ({"a": {"b": 1}}, [["delete", ["a", "b"], None], ["add", ["a", "c"], 2]], {"a": {"c": 2}}),
        ({"a": [0, "x"]}, [["append", ["a", 1], "y"], ["replace", ["a", 0], 5]], {"a": [5, "xy"]}),
        ({"1": "a"}, [["append", [1], "b"], ["add", [2], "c"]], {"1": "ab", "2": "c"}),  # < 4.24
        ((), [["replace", (), 1]], 1),
        ([[1]], [["add", [0, 1], 2], ["replace", [0], [3]], ["add", [0, 1], 4]], [[3, 4]]),
        ([[1]], [["add", [0, 1], 2], ["delete", [0], None], ["add", [0], [5]]], [[5]]),
        (
            [[1], [2]],
            [["add", [1, 1], 3], ["delete", [1], None], ["add", [1], [5]], ["add", [1, 1], 6]],
            [[1], [5, 6]],
        ),
        (
            {"a": [1]},
            [["add", ["a", 1], 2], ["add", ["a"], [3]], ["add", ["a", 1], 4]],
            {"a": [3, 4]},
        ),
    ],
)
def test_edits_do_what_servers_mean(value: Any, edits: Any, expected: Any) -> None:
    before = exactly([value, edits])
    assert exactly(apply_diff(value, edits)) == exactly(expected)
    assert exactly([value, edits]) == before


@pytest.mark.parametrize(
    ("value", "edits", "why"),
    [
        ("a", None, "come in a list"),
        ("a", {"append": 1}, "come in a list"),
        ("a", "abc", "come in a list"),
        ("a", [7], "unpack"),
        ("a", [["append", []]], "unpack"),
        ("a", [["append", [], "b", "c"]], "unpack"),
        ("a", [["append", "", "b"]], "its path is no list"),
        ("a", [["append", None, "b"]], "its path is no list"),
        ("a", ["abc"], "its path is no list"),
        ("a", [["append", [0] * (MAX_PATH + 1), "b"]], f"at most {MAX_PATH} steps"),
        ("a", [["move", [], "b"]], "no such action"),
        ("a", [[["append"], [], "b"]], "no such action"),
        ("a", [["add", [], "b"]], "no such action"),
        ("a", [["delete", [], None]], "no such action"),
        (["a"], [["move", [0], "b"]], "no such action"),
        (1, [["append", [], "b"]], "only a string"),
        ("a", [["append", [], 1]], "only a string"),
        (["a"], [["append", [], ["b"]]], "only a string"),
        ("a", [["replace", [0], "b"]], "nothing is inside of 0"),
        ([["a"]], [["replace", [0, 0, 0], "b"]], "nothing is inside of 0"),
        ({"a": 1}, [["add", ["a", "b"], 2]], "nothing is inside of 'a'"),
        (["a"], [["replace", [1], "b"]], "no item 1"),
        (["a"], [["replace", [-1], "b"]], "no item -1"),
        (["a"], [["append", [1], "b"]], "no item 1"),
        ([["a"]], [["replace", [1, 0], "b"]], "no item 1"),
        (["a"], [["replace", [False], "b"]], "no item False"),
        (["a"], [["replace", ["0"], "b"]], "no item '0'"),
        (["a"], [["replace", [0.0], "b"]], "no item 0.0"),
        (["a"], [["replace", [[0]], "b"]], r"no item \[0\]"),
        ([], [["delete", [0], None]], "no item -1"),
        ({"a": 1}, [["replace", ["b"], 2]], "no key 'b'"),
        ({"a": 1}, [["delete", ["b"], None]], "no key 'b'"),
        ({"a": 1}, [["append", ["b"], "c"]], "no key 'b'"),
        ({"a": 1}, [["delete", [1], None]], "no key '1'"),
        ({"a": 1}, [["add", [True], 1]], "strings as keys"),
        ({"a": 1}, [["add", [None], 1]], "strings as keys"),
        ({"a": 1}, [["replace", [["a"]], 1]], "strings as keys"),
    ],
)
def test_an_edit_that_does_not_fit_is_the_servers_fault(value: Any, edits: Any, why: str) -> None:
    before = exactly([value, edits])
    with pytest.raises(RemoteProtocolError, match=why):
        apply_diff(value, edits)
    assert exactly([value, edits]) == before


def test_the_text_of_the_error_is_short_however_large_the_edit() -> None:
    nested: Any = []
    for _ in range(500):
        nested = [nested]
    for path in ([], ["x" * 100_000]):
        with pytest.raises(RemoteProtocolError) as caught:
            apply_diff({}, [["append", path, ["x" * 100_000, nested]]])
        assert len(str(caught.value)) < 300


def test_a_path_may_be_as_long_as_the_limit() -> None:
    value: Any = "a"
    for _ in range(MAX_PATH):
        value = [value]
    changed: Any = apply_diff(value, [["append", [0] * MAX_PATH, "b"]])
    for _ in range(MAX_PATH):
        changed = changed[0]
    assert changed == "ab"


# --- compute_diff


@given(values, values)
def test_applying_a_computed_diff_gives_the_new_value_to_the_letter(old: Any, new: Any) -> None:
    before = exactly([old, new])
    edits = compute_diff(old, new)
    assert exactly(apply_diff(old, edits)) == exactly(new)
    assert exactly(apply_diff(old, json.loads(json.dumps(edits)))) == exactly(new)
    assert exactly([old, new]) == before
    assert (edits == []) == (exactly(old) == exactly(new))


def naive(value: Any, edits: Any) -> Any:
    """A client that goes by the index, as the official ones do."""
    cell = [copy.deepcopy(value)]
    for action, path, item in copy.deepcopy(edits):
        container: Any = cell
        steps: list[Any] = [0, *path]
        last = steps.pop()
        for step in steps:
            container = container[step]
        if action == "delete":
            del container[last]
        elif action == "add" and isinstance(container, list):
            container.insert(last, item)
        elif action == "append":
            container[last] += item
        else:
            container[last] = item
    return cell[0]


@given(values, values)
def test_a_client_that_goes_by_the_index_gets_the_same(old: Any, new: Any) -> None:
    assert exactly(naive(old, compute_diff(old, new))) == exactly(new)


@pytest.mark.parametrize(
    ("old", "new", "edits"),
    [
        (1, 1, []),
        ("ab", "abc", [["append", [], "c"]]),
        ("ab", "a", [["replace", [], "a"]]),
        (1, True, [["replace", [], True]]),
        (1, 1.0, [["replace", [], 1.0]]),
        (0.0, -0.0, [["replace", [], -0.0]]),
        (1.5, float("1.5"), []),
        ([1, 2], [1, 2, 3], [["add", [2], 3]]),
        ([1, 2, 3], [1], [["delete", [2], None], ["delete", [1], None]]),
        ([{"a": "x"}], [{"a": "xy"}], [["append", [0, "a"], "y"]]),
        ({"a": 1, "b": 2}, {"b": 2}, [["delete", ["a"], None]]),
        ({"a": 1}, {"a": 1, "b": 2}, [["add", ["b"], 2]]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, [["delete", ["a"], None], ["add", ["a"], 1]]),
        ({"a": []}, {"a": {}}, [["replace", ["a"], {}]]),
    ],
)
def test_a_computed_diff_is_small(old: Any, new: Any, edits: Any) -> None:
    assert exactly(compute_diff(old, new)) == exactly(edits)


def test_what_is_equal_and_not_the_same_object_needs_no_edit() -> None:
    text = '{"a": [1000000, 2.5, "a text"], "b": {"c": null, "d": true}}'
    assert compute_diff(json.loads(text), json.loads(text)) == []


def test_beyond_the_longest_path_all_is_replaced() -> None:
    old: Any = ["a"]
    new: Any = ["ab"]
    for _ in range(MAX_PATH + 50):
        old, new = [old], [new]
    ((action, path, _),) = edits = compute_diff(old, new)
    assert (action, len(path)) == ("replace", MAX_PATH)
    assert apply_diff(old, edits) == new


def test_gradios_own_cases() -> None:
    cases = cases_of("diff_cases.json")
    assert len(cases) >= 7
    for case in cases:
        assert apply_diff(case["base"], case["diff"]) == case["expected"], case["name"]
        edits = compute_diff(case["base"], case["expected"])
        assert apply_diff(case["base"], edits) == case["expected"], case["name"]


# --- Value


class OneSlot(RuleBasedStateMachine):
    """A value in place is what apply_diff makes of it, and nothing handed out ever changes."""

    def __init__(self) -> None:
        super().__init__()
        self.start: Any = {"a": [["x"], "y"], "b": {"c": []}}
        self.value = Value(self.start)
        self.model: Any = self.start
        self.handed_out: list[tuple[Any, str]] = [(self.start, exactly(self.start))]

    def keep(self, thing: Any) -> Any:
        self.handed_out.append((thing, exactly(thing)))
        return thing

    @rule(new=values)
    def server_yields(self, new: Any) -> None:
        self.server_sends(compute_diff(self.model, new))

    @precondition(lambda self: isinstance(self.model, list | dict) and bool(self.model))
    @rule(data=st.data(), new=values)
    def server_changes_something_inside(self, data: st.DataObject, new: Any) -> None:
        changed = copy.deepcopy(self.model)
        container: Any = changed
        while True:
            steps = list(container if isinstance(container, dict) else range(len(container)))
            step = data.draw(st.sampled_from(steps))
            inner = container[step]
            if not isinstance(inner, list | dict) or not inner or data.draw(st.booleans()):
                break
            container = inner
        if isinstance(inner, str):
            container[step] = inner + "z"
        elif isinstance(inner, list):
            inner.append(new)
        elif isinstance(inner, dict):
            inner["d"] = new
        else:
            container[step] = new
        self.server_sends(compute_diff(self.model, changed))

    def server_sends(self, edits: Any) -> None:
        edits = json.loads(json.dumps(edits))
        self.keep(edits)
        self.model = json.loads(json.dumps(apply_diff(self.model, edits)))
        self.value.apply(edits)

    @rule()
    def user_looks(self) -> None:
        assert exactly(self.keep(self.value.snapshot())) == exactly(self.model)

    @rule()
    def user_looks_twice(self) -> None:
        assert self.value.snapshot() is self.value.snapshot()

    @invariant()
    def nothing_handed_out_has_changed(self) -> None:
        for thing, before in self.handed_out:
            assert exactly(thing) == before

    @invariant()
    def what_is_remembered_is_in_the_value(self) -> None:
        def within(owned: Any, container: Any) -> None:
            for step, inner in owned.items():
                assert isinstance(container[step], list | dict)
                within(inner, container[step])

        within(self.value._owned, self.value._cell)

    def teardown(self) -> None:
        assert exactly(self.value.snapshot()) == exactly(self.model)


TestOneSlot = OneSlot.TestCase


def test_a_value_starts_as_null() -> None:
    assert Value().snapshot() is None


def test_between_snapshots_containers_are_copied_once() -> None:
    start: Any = {"a": [[1]], "b": [2]}
    value = Value(start)
    value.apply([["add", ["a", 0, 1], 2]])
    cell: Any = value._cell
    inner = cell[0]["a"][0]
    value.apply([["add", ["a", 0, 2], 3]])
    seen: Any = value.snapshot()
    assert seen["a"][0] is inner
    assert seen == {"a": [[1, 2, 3]], "b": [2]}
    assert seen["b"] is start["b"]
    value.apply([["add", ["a", 0, 3], 4]])
    assert seen["a"][0] == [1, 2, 3]
    assert value.snapshot() == {"a": [[1, 2, 3, 4]], "b": [2]}


def test_an_edits_value_is_not_changed_by_the_edits_after_it() -> None:
    part: Any = {"x": [1]}
    value = Value([])
    value.apply([["add", [0], part], ["add", [0, "x", 1], 2], ["add", [1], part]])
    assert value.snapshot() == [{"x": [1, 2]}, {"x": [1]}]
    assert part == {"x": [1]}


def test_a_string_that_grows_is_held_once() -> None:
    """Then CPython extends it in place; held twice, it would be copied for each token."""
    held: list[Any] = []

    class Watched(str):
        __slots__ = ()

        def __add__(self, other: str) -> str:
            held.append(value._cell[0])
            return str(self) + other

    value = Value(Watched("a"))
    value.apply([["append", [], "b"]])
    assert value.snapshot() == "ab"
    assert held == [None]


def test_snapshots_outlive_a_wrong_edit() -> None:
    value = Value(["a"])
    value.apply([["append", [0], "b"]])
    seen = value.snapshot()
    with pytest.raises(RemoteProtocolError):
        value.apply([["append", [0], "c"], ["append", [5], "d"]])
    assert seen == ["ab"]


@given(st.binary())
def test_the_fuzz_target_holds(data: bytes) -> None:
    fuzz_target.target(data)


@given(
    values,
    st.lists(
        st.tuples(
            st.sampled_from(["add", "append", "delete", "replace", "x"]),
            st.lists(st.sampled_from([0, 1, -1, True, "a", "b", None, [], 1.0]), max_size=3),
            values,
        )
    ),
)
def test_the_fuzz_target_holds_for_near_misses(value: Any, edits: Any) -> None:
    text = json.dumps([value, edits])
    assume(len(text) < 4000)
    fuzz_target.target(text.encode())


@given(values, values, values)
def test_a_value_knows_its_weight_whatever_is_done_to_it(old: Any, new: Any, newer: Any) -> None:
    value = Value(old)
    for before, after in ((old, new), (new, newer), (newer, old)):
        value.apply(compute_diff(before, after))
        assert value.weight == weigh(value.snapshot()) == weigh(after)


def test_a_text_weighs_what_it_is_long_and_a_part_something() -> None:
    assert weigh("x" * 100) == 100
    assert weigh(5) == 0
    assert 6 < weigh({"key": ["abc"]}) < 60
