"""``dev.py simulate`` finds nothing wrong with the code, and much with code that is wrong."""

from __future__ import annotations

import pytest

from sansio_gradio.limits import Timeouts
from sansio_gradio.protocol.diff import Value
from tests.simulate import STEPS, Books, Run, main


def test_many_jobs_end_once_and_the_same_way_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seed", "5", "--jobs", "60"]) == 0
    first = capsys.readouterr().out
    assert "jobs, each ended once" in first
    assert "297 cells" in first
    assert main(["--seed", "5", "--jobs", "60"]) == 0
    without_time = [out.rpartition(";")[0] for out in (first, capsys.readouterr().out)]
    assert without_time[0] == without_time[1]


def test_every_fault_strikes() -> None:
    books = Books()
    for run in range(12):
        Run(books, f"9/{run}").go(STEPS)
    struck = {fault.name for _, _, fault in books.cells}
    assert len(struck) >= 9, struck
    assert books.jobs > 150
    assert {"completed", "ConnectionLost", "cancelled"} <= set(books.ends)


@pytest.mark.exhaustive
def test_a_client_without_deadlines_is_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def without(timeouts: Timeouts) -> None:
        object.__setattr__(timeouts, "stream_idle", None)

    monkeypatch.setattr(Timeouts, "__attrs_post_init__", without)
    monkeypatch.setattr(Run, "find_dead", lambda run: None)  # nor does the system tell
    assert main(["--seed", "5", "--jobs", "1000"]) == 1
    assert "stuck: " in capsys.readouterr().out


@pytest.mark.exhaustive
def test_a_client_that_deletes_the_wrong_item_is_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    apply = Value._apply

    def wrong(value: Value, action: object, path: object, new: object) -> None:
        if action != "delete":
            apply(value, action, path, new)  # type: ignore[arg-type]  # what it is given

    monkeypatch.setattr(Value, "_apply", wrong)
    assert main(["--seed", "5", "--jobs", "1000"]) == 1
    told = capsys.readouterr().out
    assert " yielded " in told
    assert "again: python3 dev.py simulate --seed 5 --run " in told
