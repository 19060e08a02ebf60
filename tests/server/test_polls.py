"""Jobs that clients push and poll for, as servers up to 3.1.4 had them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sansio_gradio.errors import AppError
from sansio_gradio.protocol.status import Status
from sansio_gradio.server.app import App, Slot
from sansio_gradio.server.components import STATE, TEXTBOX
from sansio_gradio.server.events import JobAbandoned, JobHeld, JobReleased, SessionEnded
from sansio_gradio.server.limits import ServerLimits
from sansio_gradio_adapters.server import serve_in_thread
from sansio_gradio_adapters.sockets import Client
from tests.support.served import Clockwork, Talk, Wire, functions, recorded_app
from tests.support.transcripts import load, recordings

TEXT = Slot(name="x", component=TEXTBOX)
BROKEN = (500, "Internal Server Error")


def talk_of(limits: ServerLimits | None = None, **options: Any) -> Talk:
    app = App(version="3.1.4", **options)
    app.add("f", parameters=[TEXT], returns=[TEXT])
    return Talk(app, limits)


def push(talk: Talk, text: str = "hi", session: str = "s") -> tuple[str, int]:
    """Push a job; its name, and its place in line."""
    said = {"data": [text], "fn_index": 0, "action": "predict", "session_hash": session}
    status, told = talk.post("api/queue/push/", **said)
    assert status == 200
    return told["hash"], told["queue_position"]


def poll(talk: Talk, name: str) -> Any:
    """What a poll is answered."""
    status, told = talk.post("api/queue/status/", hash=name)
    return (told["status"], told["data"]) if status == 200 else (status, told)


def test_a_job_waits_runs_and_is_complete_once() -> None:
    talk = talk_of()
    name, place = push(talk)
    assert (place, poll(talk, name)) == (0, ("QUEUED", 0))
    job = talk.started()
    assert poll(talk, name) == poll(talk, name) == ("PENDING", None)
    talk.conversation.complete(job, ["ho"], now=2)
    status, output = poll(talk, name)
    assert (status, output) == (
        "COMPLETE",
        {"data": ["ho"], "duration": 2.0, "average_duration": 2.0},
    )
    assert poll(talk, name) == BROKEN  # the real server has blanked it
    assert poll(talk, "nobody") == BROKEN


def test_a_job_knows_how_many_are_before_it_and_that_one_runs() -> None:
    talk = talk_of()
    names = [push(talk, session=f"s{place}") for place in range(4)]
    assert [place for _, place in names] == [0, 1, 2, 3]
    first = talk.started()
    assert [poll(talk, name) for name, _ in names] == [
        ("PENDING", None),
        ("QUEUED", 1),
        ("QUEUED", 2),
        ("QUEUED", 3),
    ]
    talk.conversation.complete(first, ["ho"], now=1)
    talk.started()
    assert [poll(talk, name) for name, _ in names[1:]] == [
        ("PENDING", None),
        ("QUEUED", 1),
        ("QUEUED", 2),
    ]


@pytest.mark.parametrize(
    ("error", "show_error", "told"),
    [
        (AppError("no"), False, "Internal Server Error"),
        (ValueError("secret"), False, "Internal Server Error"),
        (ValueError("shown"), True, '{"error":"shown"}'),
        (AppError("no"), True, '{"error":"\'no\'"}'),
    ],
)
def test_a_failure_is_the_text_of_the_apps_own_answer(
    error: Exception, show_error: bool, told: str
) -> None:
    talk = talk_of(show_error=show_error)
    name, _ = push(talk)
    talk.conversation.fail(talk.started(), error, now=1)
    assert poll(talk, name) == ("FAILED", told)
    # Past the queue the same answer is the client's own.
    call = talk.call("f", "hi")
    talk.conversation.fail(talk.started(), error, now=1)
    status, body = talk.answer(call)
    assert (status, body if isinstance(body, str) else json.dumps(body, separators=(",", ":"))) == (
        500,
        told,
    )


def test_what_a_job_says_on_its_way_is_not_told() -> None:
    talk = talk_of()
    name, _ = push(talk)
    job = talk.started()
    talk.conversation.progress(job, [{"index": 1}])
    talk.conversation.log(job, "hello")
    talk.conversation.generate(job, ["h"], 1)
    assert poll(talk, name) == ("PENDING", None)
    talk.conversation.generate(job, ["ho"], 2)
    talk.conversation.complete(job, now=3)
    assert poll(talk, name)[1]["data"] == ["ho"]  # what it yielded last


def test_state_stays_on_the_server() -> None:
    app = App(version="3.1.4")
    seen = Slot(name="seen", component=STATE, default=0)
    app.add("f", parameters=[TEXT, seen], returns=[TEXT, seen])
    talk = Talk(app)
    for round in range(2):
        said = {"data": ["x", None], "fn_index": 0, "action": "predict", "session_hash": "s"}
        name = talk.post("api/queue/push", **said)[1]["hash"]
        submitted = talk.submitted()
        assert submitted.data == ["x", round]
        talk.conversation.start(submitted.job, 0)
        talk.conversation.complete(submitted.job, ["y", round + 1], now=1)
        assert poll(talk, name)[1]["data"] == ["y", None]


@pytest.mark.parametrize("missing", ["data", "fn_index", "session_hash"])
def test_a_push_says_what_it_is_for(missing: str) -> None:
    said = {"data": ["hi"], "fn_index": 0, "action": "predict", "session_hash": "s"}
    del said[missing]
    talk = talk_of()
    status, told = talk.post("api/queue/push/", **said)
    assert (status, told["detail"][0]["loc"]) == (422, ["body", missing])
    assert talk.post("api/queue/status/", hash=3)[0] == 422
    assert talk.post("api/queue/push/", **(said | {missing: None}))[0] == 422
    assert talk.idle()


def test_a_push_that_finds_no_room_is_refused() -> None:
    talk = talk_of(max_size=1)
    push(talk)
    push(talk)
    said = {"data": ["hi"], "fn_index": 0, "action": "predict", "session_hash": "s"}
    assert talk.post("api/queue/push/", **said)[0] == 503


def test_ends_that_nobody_fetches_hold_up_the_session_and_then_it_is_forgotten() -> None:
    talk = talk_of(ServerLimits(ahead=1000), concurrency_limit=None)
    names = [push(talk)[0] for _ in range(4)]
    jobs = [talk.started() for _ in range(4)]
    talk.conversation.complete(jobs[0], ["x" * 2000], now=0)
    assert {type(talk.event()) for _ in range(3)} == {JobHeld}
    assert poll(talk, names[0])[0] == "COMPLETE"
    assert {type(talk.event()) for _ in range(3)} == {JobReleased}
    talk.pass_time(1000)  # nothing waits: the session stays, however long it is quiet
    assert talk.idle()
    talk.conversation.complete(jobs[1], ["x" * 2000], now=talk.now)
    assert {type(talk.event()) for _ in range(2)} == {JobHeld}
    talk.pass_time(59)
    assert talk.idle()
    talk.pass_time(2)
    assert {type(talk.event()) for _ in range(2)} == {JobAbandoned}
    assert talk.conversation.next_event() == SessionEnded(session_hash="s")
    assert [poll(talk, name) for name in names] == [BROKEN] * 4


def test_ends_are_fetched_in_any_order() -> None:
    talk = talk_of(concurrency_limit=None)
    names = [push(talk)[0] for _ in range(3)]
    for text in ("a", "b", "c"):
        talk.conversation.complete(talk.started(), [text], now=1)
    assert [poll(talk, name)[1]["data"] for name in reversed(names)] == [["c"], ["b"], ["a"]]


def test_a_job_that_another_call_has_stopped_is_not_found() -> None:
    app = App(version="3.1.4")
    app.add("f", parameters=[TEXT], returns=[TEXT])
    app.add("stop", cancels=["f"])
    talk = Talk(app)
    name, _ = push(talk)
    talk.started()
    assert talk.answer(talk.call("stop", session_hash="s"))[0] == 200
    assert isinstance(talk.event(), JobAbandoned)
    assert poll(talk, name) == BROKEN


def pushed_jobs(name: str) -> list[Any]:
    jobs: list[Any] = load("3.1.4", name).expected["jobs"]
    return [job for job in jobs if job["protocol"] == "push"]


JOBS = [name for version, name in recordings() if version == "3.1.4" and pushed_jobs(name)]


@pytest.mark.parametrize("name", JOBS)
def test_recorded_jobs_come_to_what_they_came_to_on_the_real_server(name: str) -> None:
    app = recorded_app("3.1.4", show_error=name.endswith("shown"))
    wire = Wire(app)
    clockwork = Clockwork(wire.engine, functions(app.version))
    for job in pushed_jobs(name):
        if app.functions[job["fn_index"]].generator or job["api_name"] == "file":
            continue  # ours gives what was yielded last; a file is not a text
        said = {"data": job["data"], "fn_index": job["fn_index"], "session_hash": "s"}
        pushed = wire.post("/api/queue/push/", {"action": "predict", **said})
        assert list(pushed.body) == ["hash", "queue_position"]
        clockwork.run_until(clockwork.now + 60)
        told = wire.post("/api/queue/status/", {"hash": pushed.body["hash"]}).body
        if job["end"] == "completed":
            assert list(told) == ["status", "data"]
            assert list(told["data"]) == ["data", "duration", "average_duration"]
            assert told["data"]["data"] == job["final"]
        else:
            assert told == {"status": "FAILED", "data": job["error"]}


def test_our_client_gets_what_our_server_has() -> None:
    app = App(version="3.1.4", show_error=True)

    @app.endpoint
    def double(text: str) -> str:
        if not text:
            raise AppError("nothing to double")
        return text * 2

    with serve_in_thread(app) as url, Client(url) as client:
        assert client.protocol == "push"
        job = client.submit("ab")
        assert job.result(timeout=20) == "abab"
        assert job.status().code is Status.FINISHED
        with pytest.raises(AppError, match="nothing to double"):
            client.predict("")
