"""Edits as real servers compute them, and what is made of those."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_gradio.errors import LocalProtocolError, RemoteProtocolError
from sansio_gradio.protocol.diff import apply_diff, compute_diff
from tests.support import transcripts

scalars = st.sampled_from([None, True, False, 0, 1, 1.0, 2.5, "", "a", "ab", "b"])
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=12,
)


def exactly(value: Any) -> str:
    """Tells 1, 1.0 and True apart, and the order of keys."""
    return json.dumps(value)


CASES = json.loads((Path(__file__).parents[1] / "data" / "diff_cases.json").read_text())


@pytest.mark.parametrize("version", [key for key in CASES[0] if key not in {"old", "new"}])
def test_like_gives_the_very_edits_of_real_servers(version: str) -> None:
    assert len(CASES) == 60
    for case in CASES:
        if case[version] is None:
            with pytest.raises(LocalProtocolError, match=r"a key .* is gone from a dict in a list"):
                compute_diff(case["old"], case["new"], like=version)
        else:
            edits = compute_diff(case["old"], case["new"], like=version)
            assert exactly(edits) == exactly(case[version])


CUT = {"5.29.1", "5.32.1", "5.33.0", "5.35.0"}  # their paths of deletes have lost the parents


@pytest.mark.parametrize("version", [key for key in CASES[0] if key not in {"old", "new", *CUT}])
def test_the_edits_of_real_servers_give_their_value(version: str) -> None:
    for case in CASES:
        assert apply_diff(case["old"], case[version]) == case["new"]


def test_servers_that_cut_paths_are_understood_where_the_list_is_the_value_itself() -> None:
    for version in CUT:
        edits = compute_diff([1, 2, 3], [1], like=version)
        assert apply_diff([1, 2, 3], edits) == [1]
        edits = compute_diff({"a": [1, 2]}, {"a": [1]}, like=version)
        assert edits == [["delete", [1], None]]
        with pytest.raises(RemoteProtocolError, match="no key '1'"):
            apply_diff({"a": [1, 2]}, edits)


@pytest.mark.parametrize("version", ["4.17.0", "5.36.2"])
@given(old=values, new=values)
def test_what_any_server_sends_is_exact_up_to_pythons_equality(
    version: str, old: Any, new: Any
) -> None:
    assert apply_diff(old, compute_diff(old, new, like=version)) == new


def test_servers_do_not_notice_a_change_of_type() -> None:
    assert compute_diff([1, 0, 1.0], [True, False, 1], like="6.31.0") == []


@pytest.mark.parametrize("version", ["4.16.0", "3.50.2", "newest", ""])
def test_servers_without_edits_cannot_be_followed(version: str) -> None:
    with pytest.raises(LocalProtocolError, match=r"sends no edits: 4\.17 was the first"):
        compute_diff(1, 2, like=version)


def recorded_yields() -> list[tuple[str, Any, Any]]:
    """(version, what was sent, the full values) of each yield but the first of real generators."""
    found: list[tuple[str, Any, Any]] = []
    for version, scenario in transcripts.recordings():
        recording = transcripts.load(version, scenario)
        jobs = {job["key"]: job for job in recording.expected["jobs"]}
        for key, job in jobs.items():
            if job["protocol"] not in {"sse_v2", "sse_v2.1", "sse_v3"}:
                continue
            sent = [
                message["output"]["data"]
                for exchange in recording.expected["exchanges"]
                for message in exchange.get("messages", [])
                if message.get("event_id") == key and message["msg"] == "process_generating"
            ]
            found += [
                (version, (edits, before), after)
                for edits, before, after in zip(
                    sent[1:], job["outputs"], job["outputs"][1:], strict=False
                )
            ]
    return found


YIELDS = recorded_yields()


def test_recorded_diffs_give_the_recorded_values() -> None:
    assert len(YIELDS) > 250
    for _, (sent, before), after in YIELDS:
        assert [apply_diff(v, e) for v, e in zip(before, sent, strict=True)] == after


def test_recorded_diffs_are_computed_again() -> None:
    whole = {"4.44.1": 0, "6.31.0": 0}
    for version, (sent, before), after in YIELDS:
        for edits, old, new in zip(sent, before, after, strict=True):
            if edits != compute_diff(old, new, like=version):
                # Since 4.31.3 the JSON component is always sent whole.
                assert edits == [["replace", [], new]]
                whole[version] += 1
    assert whole == {"4.44.1": 10, "6.31.0": 10}
