"""Every fuzz target holds on its corpus, near it, and on what hypothesis thinks of.

Few examples, for every run of the tests; ``dev.py fuzz`` goes on for as long as it is told.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz import run
from fuzz._work import growth

SESSIONS = ("client_engine", "file_answers", "hub", "server_engine")
"""They play whole sessions, which takes long: by default on a part of their corpus only."""
NAMES = [
    pytest.param(name, marks=[pytest.mark.exhaustive] if name in SESSIONS else [])
    for name in run.names()
]


@pytest.mark.parametrize("name", run.names())
def test_the_target_holds_on_its_corpus(name: str) -> None:
    target = run.load(name)
    for data in run.seeds(name)[:: 4 if name in SESSIONS else 1]:
        target(data)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", SESSIONS)
def test_the_target_holds_on_all_of_its_corpus(name: str) -> None:
    target = run.load(name)
    for data in run.seeds(name):
        target(data)


@pytest.mark.parametrize("name", run.names())
def test_the_target_has_a_corpus(name: str) -> None:
    assert len(run.seeds(name)) > 1


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_the_target_holds_near_its_corpus(name: str, data: st.DataObject) -> None:
    seed = data.draw(st.integers(0, 2**32))
    target = run.load(name)
    for mutant in islice(run.mutants(run.seeds(name), random.Random(seed)), 5):
        target(mutant)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.binary())
def test_the_target_holds_on_any_bytes(name: str, data: bytes) -> None:
    run.load(name)(data)


@pytest.mark.parametrize("name", run.names())
def test_the_work_grows_as_the_input_does(name: str) -> None:
    assert growth(run.load(name), run.grown(name)) < 2.5


# The runner itself


def breaks_on_a_brace(data: bytes) -> None:
    assert b"{" not in data


def test_a_corpus_that_breaks_the_target_is_found() -> None:
    assert run.first_failure(breaks_on_a_brace, [b"a", b"x{x", b"{"]) == b"x{x"
    assert run.first_failure(breaks_on_a_brace, [b"a", b""]) is None


def test_mutation_finds_what_is_near() -> None:
    corpus = [b"data: [1, 2]\n\n", b"}"]
    found = run.first_failure(breaks_on_a_brace, run.mutants(corpus, random.Random(1)))
    assert found is not None


def test_hypothesis_finds_the_smallest() -> None:
    assert run.by_hypothesis(breaks_on_a_brace, 5000) == b"{"
    assert run.by_hypothesis(lambda data: None, 10) is None


def test_mutants_are_bounded_and_repeatable() -> None:
    def some(seed: int) -> list[bytes]:
        return list(islice(run.mutants([b"x" * run.BYTES_AN_INPUT], random.Random(seed)), 50))

    assert some(1) == some(1) != some(2)
    assert all(len(mutant) <= run.BYTES_AN_INPUT for mutant in some(1))


def test_an_input_that_takes_too_long_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "SECONDS_AN_INPUT", 0.01)

    def never_ends(data: bytes) -> None:
        while True:
            pass

    assert run.first_failure(never_ends, [b"x"]) == b"x"


def test_the_time_ends_the_fuzzing() -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b""

    assert list(run.until(0, endless())) == []


def test_what_breaks_a_target_is_kept_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "FOUND", tmp_path / "found")
    monkeypatch.setattr(run, "names", lambda: ["braces"])
    monkeypatch.setattr(run, "load", lambda name: breaks_on_a_brace)
    monkeypatch.setattr(run, "seeds", lambda name: [b"", b"{"])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert run.main(["--seconds", "5"]) == 1
    (kept,) = (tmp_path / "found").iterdir()
    assert kept.read_bytes() == b"{"
    assert str(kept) in capsys.readouterr().out
    with pytest.raises(AssertionError):
        run.main(["braces", "--input", str(kept)])


def test_a_target_that_there_is_not_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run.main(["nonsense"])
    assert "nonsense" in capsys.readouterr().err
