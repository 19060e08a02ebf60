"""``conform client`` as a program: it finds what is wrong with small clients, and nothing else."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sansio_gradio.server.app import App
from sansio_gradio_adapters.__main__ import main
from sansio_gradio_adapters.conform.report import Report, Row
from sansio_gradio_adapters.conform.servers import Wrong, check_places
from sansio_gradio_adapters.server import serve_in_thread
from tests.support.golang import GO, NO_GO, go_client
from tests.support.javascript import NODE

__all__ = ["go_client"]

SMALL = Path(__file__).parents[1] / "support" / "small_client.py"
EXAMPLE = Path(__file__).parents[2] / "examples" / "json_lines.py"
PLACES = ["{url}", "{api}", "{data}", "{jobs}"]


def conform(folder: Path, cases: str, *command: object, version: str = "6.31.0") -> dict[str, Any]:
    """Run it on these cases; the report."""
    report = folder / "report.json"
    given = ["--can", "cancel,jobs", "--versions", version, "--cases", cases, "--json", str(report)]
    page = ["--html", str(folder / "report.html")]
    status = main(["conform", "client", *given, *page, "--", *map(str, command), *PLACES])
    made: dict[str, Any] = json.loads(report.read_text("utf-8"))
    assert status == (1 if made["counts"]["failed"] else 0)
    return made


def small(defect: str) -> tuple[object, ...]:
    return sys.executable, "-S", "-E", SMALL, defect


def test_a_client_that_is_right_passes(tmp_path: Path) -> None:
    made = conform(tmp_path, "growing,CRLF,join_502", *small("none"))
    assert made["counts"]["failed"] == 0
    assert made["counts"]["passed"] >= 3


def test_a_failure_has_its_rule_its_bytes_and_a_smallest_case(tmp_path: Path) -> None:
    made = conform(tmp_path, "growing/comments", *small("no_other_lines"))
    (case,) = made["cases"]
    assert case["verdict"] == "failed"
    assert case["rule"] == "R-stream-6"
    assert case["smallest"].startswith("growing/comments")
    assert "POST /gradio_api/queue/join HTTP/1.1" in case["transcript"]
    assert '"process_completed"' in case["transcript"]
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "R-stream-6" in page
    assert "<script" not in page


# The defect, cases that show it, the rules that it breaks.
DEFECTS = [
    ("splits_at_lf", "CRLF,CR", "R-stream-6"),
    ("no_other_lines", "comments", "R-stream-6"),
    ("decodes_chunks", "small_chunks", "R-http-1"),
    ("knows_all_kinds", "unknown_kind_for_all,unknown_messages", "R-stream-5 R-message-1"),
    ("obeys_indices", "shrinking_list,shrinking_inside", "R-edit-1"),
    ("misfit_is_error", "misfit", "R-edit-4"),
    ("takes_all", "foreign_jobs", "R-stream-4"),
    ("joins_again", "join_502", "R-refuse-1"),
    ("end_is_success", "ended_cleanly", "R-end-4"),
    ("reopens_never", "empty_stream", "R-end-4"),
    ("gives_up_never", "stopped,given_up", "R-end-7"),
    ("all_is_success", "error", "R-end-1"),
    ("hides_errors", "error", "R-end-1"),
    ("tells_late", "half", "R-end-2"),
    ("no_state", "state", "R-data-1"),
    ("shows_state", "state", "R-data-4"),
    ("shows_updates", "update", "R-data-5"),
    ("by_place", "reordered", "R-config-3"),
    ("last_of_name", "same_names", "R-config-4"),
    ("no_prefix", "text", "R-config-2"),
    ("uses_root", "wrong_root", "R-config-2"),
    ("no_cookies", "cookies", "R-config-7"),
    ("runs_in_browser", "in_browser", "R-config-5"),
    ("no_content_type", "text", "R-join-3"),
    ("empty_session", "text", "R-join-1"),
    ("listens_first", "text", "R-stream-1"),
    ("takes_more", "late_messages", "R-message-4"),
    ("obeys_is_generating", "generating_null", "R-message-3"),
    ("waits_for_end", "stays_open", "R-session-1"),
    ("empty_is_result", "cancelled_by_others", "R-end-1"),
    ("tells_no_cancel", "cancel", "R-cancel-4"),
    ("cancels_another", "cancel", "R-cancel-4"),
]


@pytest.mark.exhaustive
@pytest.mark.parametrize(("defect", "cases", "rules"), DEFECTS, ids=[row[0] for row in DEFECTS])
def test_it_finds_what_is_wrong(tmp_path: Path, defect: str, cases: str, rules: str) -> None:
    made = conform(tmp_path, cases, *small(defect))
    found = {case["rule"] for case in made["cases"] if case["verdict"] == "failed"}
    assert found
    assert found <= set(rules.split())


@pytest.mark.exhaustive
def test_the_first_yield_may_be_edits(tmp_path: Path) -> None:
    made = conform(tmp_path, "first_is_edits", *small("first_is_whole"), version="4.44.1")
    assert {case["rule"] for case in made["cases"] if case["verdict"] == "failed"} == {"R-edit-5"}


@pytest.mark.exhaustive
def test_silence_is_waited_for(tmp_path: Path) -> None:
    made = conform(tmp_path, "silence", *small("no_deadline"))
    assert [case["rule"] for case in made["cases"]] == ["R-stream-7"] * len(made["cases"])


# No world knows protocols: each release in one.
RELEASES = {"sockets": "6.31.0,3.50.2,3.1.4", "asyncio": "4.44.1,4.16.0", "trio": "4.19.2,4.0.2"}


@pytest.mark.exhaustive
@pytest.mark.parametrize("world", RELEASES)
def test_our_own_clients_pass(tmp_path: Path, world: str) -> None:
    report = tmp_path / "report.json"
    given = ["--versions", RELEASES[world], "--can", "cancel,jobs,status,files"]
    given += ["--json", str(report)]
    main(["conform", "client", *given, "--", sys.executable, str(EXAMPLE), world, *PLACES])
    made = json.loads(report.read_text("utf-8"))
    assert [case for case in made["cases"] if case["verdict"] != "passed"] == []


def files(folder: Path, *options: str, client: Path = EXAMPLE) -> dict[str, dict[str, Any]]:
    """Try a client on files; the cases by their names."""
    report = folder / "report.json"
    given = ["--can", "files", "--versions", "6.31.0", "--json", str(report), *options]
    main(["conform", "client", *given, "--", sys.executable, str(client), "sockets", *PLACES[:3]])
    made = json.loads(report.read_text("utf-8"))
    return {case["name"]: case for case in made["cases"]}


def test_a_client_uploads_and_downloads_files(tmp_path: Path) -> None:
    made = files(tmp_path, "--cases", "file_named,made_file_named")
    assert {name: case["verdict"] for name, case in made.items()} == {
        "file_named": "passed",
        "made_file_named": "passed",
    }


# The case, the rule that is broken, and what the example says then in place of something.
WRONG_WITH_FILES = [
    ("file", "R-file-2", 'handle_file(value["path"])', 'handle_file(value["path"], name="x.txt")'),
    ("file", "R-file-1", 'handle_file(value["path"])', 'handle_file(b"a", name="note.txt")'),
    ("file", "R-file-5", 'handle_file(value["path"])', '{"path": value["path"]}'),
    ("made_file", "R-file-8", "else [value]", "else [__file__]"),
    ("file/upload_413", "R-file-3", "tell(error=", "tell(result=[], text="),
]


@pytest.mark.exhaustive
@pytest.mark.parametrize("wrong", WRONG_WITH_FILES, ids=[row[1] for row in WRONG_WITH_FILES])
def test_it_finds_what_is_wrong_with_files(
    tmp_path: Path, wrong: tuple[str, str, str, str]
) -> None:
    case, rule, old, new = wrong
    source = EXAMPLE.read_text("utf-8")
    assert old in source
    client = tmp_path / "json_lines.py"
    client.write_text(source.replace(old, new), "utf-8")
    made = files(tmp_path, "--cases", case, client=client)[case]
    assert (made["verdict"], made["rule"]) == ("failed", rule)


def test_what_is_not_declared_is_skipped(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    given = ["--cases", "cancel,jobs", "--versions", "6.31.0", "--json", str(report)]
    assert main(["conform", "client", *given, "--", *map(str, small("none")), *PLACES]) == 0
    made = json.loads(report.read_text("utf-8"))
    assert {case["verdict"] for case in made["cases"]} == {"skipped"}
    assert all("--can" in case["what"] for case in made["cases"])


def app_of(version: str, **options: Any) -> App:
    def greet(name: str, times: int = 2) -> str:
        return " ".join(["Hello", *[name] * times])

    def count(to: int = 6) -> Iterator[int]:
        for number in range(to):
            yield number
            time.sleep(0.1)

    app = App(version=version, **options)
    app.add_function(greet)
    app.add_function(count)
    return app


def visit(folder: Path, app: App, *options: str) -> dict[str, dict[str, Any]]:
    """Try the app; the cases by their names."""
    report = folder / "report.json"
    with serve_in_thread(app) as url:
        status = main(["conform", "server", url, "--json", str(report), *options])
    made: dict[str, Any] = json.loads(report.read_text("utf-8"))
    assert status == (1 if made["counts"]["failed"] else 0)
    return {case["name"]: case for case in made["cases"]}


@pytest.mark.exhaustive
@pytest.mark.parametrize("version", ["6.31.0", "4.44.1", "4.16.0", "4.0.2", "3.50.2"])
def test_our_own_server_passes(tmp_path: Path, version: str) -> None:
    cases = visit(tmp_path, app_of(version))
    assert [case for case in cases.values() if case["verdict"] == "failed"] == []
    assert cases["functions"]["what"] == "/count, /greet"
    assert "process_generating" in cases["call/count"]["what"]
    assert cases["cancel"]["verdict"] == "passed"
    assert cases["release"]["what"].startswith(f"It says {version}, and ")


def test_a_server_that_says_wrong_things_is_found_out(tmp_path: Path) -> None:
    app = App(version="4.44.1")
    scripted: dict[str, Any] = {"generator": True, "scripted": True}
    whole = {"msg": "process_completed", "output": {"data": ["x"]}, "success": True}

    def newer(text: str = "x") -> Iterator[dict[str, Any]]:
        yield {**whole, "used_cache": None}  # it came with 6.12

    def poorer(text: str = "x") -> Iterator[dict[str, Any]]:
        yield {"msg": "process_completed", "output": {"data": ["x"]}}

    def later(text: str = "x") -> Iterator[dict[str, Any]]:
        yield {"msg": "tomorrow"}
        yield whole

    for function in (newer, poorer, later):
        app.add_function(function, **scripted)
    cases = visit(tmp_path, app)
    assert cases["call/newer"]["what"] == "process_completed has used_cache, which came with 6.12."
    assert cases["call/poorer"]["verdict"] == "failed"
    assert "tomorrow" in cases["call/later"]["what"]
    assert cases["release"]["verdict"] == "failed"


@pytest.mark.exhaustive
@pytest.mark.parametrize("version", ["6.31.0", "4.44.1", "4.0.2", "3.50.2"])
def test_a_full_queue_is_tried_if_that_is_asked_for(tmp_path: Path, version: str) -> None:
    def slow(text: str = "x") -> str:
        time.sleep(0.2)
        return text

    app = App(version=version, max_size=3)
    app.add_function(slow)
    case = visit(tmp_path, app, "--busy", "8")["busy"]
    assert case["verdict"] == "passed", case
    assert "8 jobs of /slow" in case["what"]
    assert "of a full queue" in case["what"]
    assert "up to 0 waited" not in case["what"]
    assert "busy" not in visit(tmp_path, app_of(version))


def test_too_many_jobs_at_once_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conform", "server", "http://127.0.0.1:9/", "--busy", "101"]) == 2
    assert "--busy is from 1 to 100" in capsys.readouterr().err


def test_places_in_the_queue_make_sense() -> None:
    check_places(0, [(2, 3), (1, 3), (1, 2), (0, 1)])
    check_places(0, [(0, None)])
    for wrong in ([(1, 3), (2, 3)], [(3, 3)], [(-1, 2)]):
        with pytest.raises(Wrong, match="Job 0"):
            check_places(0, wrong)


def test_what_is_no_app_cannot_be_tried(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conform", "server", "http://127.0.0.1:9/"]) == 2
    assert "127.0.0.1:9" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "behind --"),
        (["--", "/nowhere/client"], "cannot be run"),
        (["--cases", "nowhere", "--", "x"], "no cases named nowhere"),
        (["--versions", "2.9", "--", "x"], "2.9"),
        (["--can", "fly", "--", "x"], "--can fly"),
        (["--can", "jobs", "--", "x"], "{jobs}"),
    ],
)
def test_it_says_why_it_cannot_run(
    given: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["conform", "client", *given]) == 2
    assert said in capsys.readouterr().err


def test_the_page_shows_what_a_client_said_as_text() -> None:
    bad = "<script>alert(1)</script>"
    case = Row(name=bad, version="6", verdict="failed", rule="R-end-1", what=bad, transcript=bad)
    page = Report(title=bad, cases=[case], about={"command": [bad]}).as_html()
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 6


def failed(folder: Path, *command: object) -> list[tuple[str, str]]:
    """The cases of a run, with a release of each kind of protocol, that a client has not passed."""
    report = folder / "report.json"
    given = ["--versions", "6.31.0,4.0.2,3.50.2,3.1.4", "--can", "cancel,jobs"]
    given += ["--json", str(report)]
    main(["conform", "client", *given, "--", *map(str, command), *PLACES])
    made = json.loads(report.read_text("utf-8"))
    return [(one["version"], one["name"]) for one in made["cases"] if one["verdict"] == "failed"]


@pytest.mark.exhaustive
@pytest.mark.skipif(NODE is None, reason="there is no Node 22 or later")
def test_the_client_in_javascript_passes(tmp_path: Path) -> None:
    # It does not speak the protocol of 3.1.4.
    assert failed(tmp_path, NODE, EXAMPLE.with_suffix(".mjs")) == [("3.1.4", "text")]


@pytest.mark.exhaustive
@pytest.mark.skipif(GO is None, reason=NO_GO)
def test_the_client_in_go_passes(tmp_path: Path, go_client: Path) -> None:
    # It speaks neither the protocol of 3.1.4 nor that of 4.0.2.
    found = failed(tmp_path, go_client / "client", "--json-lines")
    assert sorted(found) == [("3.1.4", "text"), ("4.0.2", "text")]
