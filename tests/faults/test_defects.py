"""What is known to go wrong in other clients, each under its name.

The names are those of a list of defects of gradio_client 2.7.2 and @gradio/client 2.7.0, found by
running them; each test gives the same stimulus and asks for what should have happened.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from itertools import combinations
from typing import Any

import pytest

from sansio_gradio.errors import (
    AppError,
    ConnectionLost,
    JobCancelledError,
    LocalProtocolError,
    QueueFullError,
    RemoteProtocolError,
    ServerStoppedError,
    ValidationError,
)
from sansio_gradio.protocol.status import Status, StatusUpdate
from sansio_gradio.testing.patience import PATIENCE
from sansio_gradio.testing.talk import config
from sansio_gradio_adapters._jobs import OutputUpdate
from sansio_gradio_adapters.sockets import Client, Job
from tests.support.fault_peer import (
    LAST_CHUNK,
    SSE_HEAD,
    FaultServer,
    Script,
    Visit,
    chunked,
    event,
    hold,
    in_turn,
    nothing_is_left,
    page,
    reset,
    stream,
    wait,
)

JOIN, DATA = "/queue/join", "/queue/data"
STARTS = {"msg": "process_starts", "event_id": "e"}


def generating(*data: Any, event_id: str = "e") -> dict[str, Any]:
    output = {"data": list(data), "is_generating": True}
    return {"msg": "process_generating", "event_id": event_id, "output": output, "success": True}


def completed(*data: Any, event_id: str = "e") -> dict[str, Any]:
    output = {"data": list(data), "is_generating": False}
    return {"msg": "process_completed", "event_id": event_id, "output": output, "success": True}


def block(message: object, prefix: str = "", newline: str = "\n") -> bytes:
    text = f"{prefix}data: {json.dumps(message)}\n\n"
    return chunked(text.replace("\n", newline).encode())


def serving(**pages: Script) -> FaultServer:
    """A sane app but for *pages*: ``join``, ``data``, ``cancel``."""
    sane: Mapping[str, Script] = {
        "config": page(config()),
        "join": page({"event_id": "e"}),
        "data": stream(STARTS, completed("x")) + LAST_CHUNK,
        "cancel": page({"success": True}),
    }
    paths = {"join": JOIN, "data": DATA}
    spoken = {**sane, **pages}
    return FaultServer({paths.get(name, f"/{name}"): script for name, script in spoken.items()})


@pytest.fixture(autouse=True)
def left() -> Iterator[None]:
    with nothing_is_left():
        yield


def predicted(data: Script) -> Any:
    with serving(data=data) as server, Client(server.url) as client:
        return client.predict("x", api_name="/echo")


def until_it_runs(job: Job) -> None:
    for update in job.updates():
        if isinstance(update, StatusUpdate) and update.code is Status.PROCESSING:
            return
    raise AssertionError("it never ran")


# The event stream


def test_b1_a_comment_on_the_stream() -> None:
    blocks = [block(message, ": ping\n\n") for message in (STARTS, completed("x"))]
    assert predicted(b"".join([SSE_HEAD, *blocks, LAST_CHUNK])) == "x"


def test_b2_an_event_line_before_the_data() -> None:
    blocks = [block(message, "event: message\n") for message in (STARTS, completed("x"))]
    assert predicted(b"".join([SSE_HEAD, *blocks, LAST_CHUNK])) == "x"


def test_b3_lines_that_end_in_crlf() -> None:
    blocks = [block(message, newline="\r\n") for message in (STARTS, completed("x"))]
    # And the stream stays open: what ends the job is the message, not the end.
    assert predicted((b"".join([SSE_HEAD, *blocks]), hold)) == "x"


def test_b4_a_message_of_an_unknown_type() -> None:
    new = {"msg": "brand_new_message", "event_id": "e", "more": 1}
    data = stream(STARTS, new, completed("x")) + LAST_CHUNK
    assert predicted(data) == "x"
    with serving(data=data) as server, Client(server.url) as client:
        messages = list(client.stream_messages("x", api_name="/echo"))
    assert messages[1] == new


@pytest.mark.parametrize("of", [{"event_id": "e"}, {"event_id": None}, {}])
def test_b5_an_unexpected_error(of: dict[str, Any]) -> None:
    message = {"msg": "unexpected_error", "message": "Server stopped.", "success": False, **of}
    with pytest.raises(ServerStoppedError, match=r"Server stopped\."):
        predicted((stream(STARTS, message), hold))


def test_b6_a_stream_that_ends_before_the_job() -> None:
    first = stream(STARTS) + LAST_CHUNK
    data = in_turn(first, stream(completed("y")) + LAST_CHUNK)
    with serving(data=data) as server, Client(server.url) as client:
        with pytest.raises(ConnectionLost, match="ended") as caught:
            client.predict("x", api_name="/echo")
        assert isinstance(caught.value, ConnectionError)
        assert client.predict("x", api_name="/echo") == "y"


def test_b7_a_server_that_dies_while_it_yields() -> None:
    seen = threading.Event()
    begun = stream(STARTS, *[generating("0")], *[generating([["append", [], "x"]])] * 8)
    with serving(data=(begun, wait(seen), reset)) as server, Client(server.url) as client:
        job = client.submit(9, api_name="/count")
        outputs = iter(job)
        got = [next(outputs) for _ in range(9)]
        seen.set()
        with pytest.raises(ConnectionLost) as caught:
            next(outputs)
        assert got == job.outputs() == ["0" + "x" * count for count in range(9)]
        assert list(caught.value.outputs) == [(output,) for output in got]
        assert job.exception() is caught.value


# Jobs


def test_b8_reading_from_a_job_that_found_the_queue_full() -> None:
    full = page({"detail": "Queue is full. Max size is 1 and size is 1."}, 503)
    with serving(join=full) as server, Client(server.url) as client:
        job = client.submit("x", api_name="/echo")
        with pytest.raises(QueueFullError, match="Max size is 1"):
            list(job)
        with pytest.raises(QueueFullError):
            job.result()


def test_b9_reading_from_a_job_that_fails() -> None:
    failed = {**completed(), "output": {"error": "boom"}, "success": False}
    edits = generating([["append", [], "b"]])
    data = stream(STARTS, generating("a"), edits, failed) + LAST_CHUNK
    seen: list[Any] = []
    with serving(data=data) as server, Client(server.url) as client:
        job = client.submit(1, api_name="/count")
        with pytest.raises(AppError, match="boom"):
            seen.extend(job)
    assert seen == ["a", "ab"]


def test_b10_the_result_of_a_running_job_that_was_cancelled() -> None:
    asked = threading.Event()

    def cancel(visit: Visit) -> None:
        asked.set()
        visit.say(page({"success": True}))

    stopped = {**completed(), "output": {}}
    data: Script = [stream(STARTS), wait(asked), event(stopped), LAST_CHUNK]
    with serving(data=data, cancel=cancel) as server, Client(server.url) as client:
        job = client.submit("x", api_name="/echo")
        until_it_runs(job)
        assert job.cancel() is True
        with pytest.raises(JobCancelledError):
            job.result()
        assert job.cancelled()
        assert asked.wait(PATIENCE)
        assert json.loads(server.asked("/cancel")[0].body)["event_id"] == "e"


def test_b11_cancelling_a_job_that_is_over() -> None:
    with serving() as server, Client(server.url) as client:
        job = client.submit("x", api_name="/echo")
        assert job.result() == "x"
        assert job.cancel() is False
        assert job.status().code is Status.FINISHED
        assert not job.cancelled()
        assert job.result() == "x"
        assert server.asked("/cancel") == []


def test_b12_a_new_session_while_a_job_runs() -> None:
    data = in_turn((stream(STARTS), hold), stream(completed("y")) + LAST_CHUNK)
    with serving(data=data) as server, Client(server.url) as client:
        old = client.session_hash
        job = client.submit("x", api_name="/echo")
        until_it_runs(job)
        client.reset_session()
        assert client.predict("x", api_name="/echo") == "y"
        with pytest.raises(JobCancelledError):
            job.result()
        asked = [request.query for request in server.asked(DATA)]
        assert asked[0] == f"session_hash={old}"
        assert asked[1] == f"session_hash={client.session_hash}" != asked[0]


def test_b13_updates_in_asyncio_as_they_are_made() -> None:
    go_on = [threading.Event() for _ in range(3)]
    edits = generating([["append", [], "."]])
    data: Script = [
        stream(STARTS),
        *(wait(go_on[0]), event(generating("0"))),
        *(wait(go_on[1]), event(edits)),
        *(wait(go_on[2]), event(completed("0."))),
        LAST_CHUNK,
    ]
    seen: list[Any] = []

    async def read(job: Job) -> None:
        # The next one is made when this one was seen: nobody could hold them back for a while.
        async for update in job.updates():
            if isinstance(update, StatusUpdate):
                if update.code is Status.PROCESSING:
                    go_on[0].set()
            else:
                seen.append(update)
                go_on[min(len(seen), 2)].set()

    with serving(data=data) as server, Client(server.url) as client:
        asyncio.run(asyncio.wait_for(read(client.submit(2, api_name="/count")), PATIENCE))
    assert seen == [
        OutputUpdate(outputs="0", final=False, success=True),
        OutputUpdate(outputs="0.", final=False, success=True),
        OutputUpdate(outputs="0.", final=True, success=True),
    ]


# Around them


@pytest.mark.parametrize(
    ("detail", "kind", "says"),
    [
        ([{"loc": ["body", "data"], "msg": "field required"}], RemoteProtocolError, "required"),
        ("not like this", RemoteProtocolError, "not like this"),
        (
            [{"is_valid": False, "message": "too short", "parameter_name": "text"}],
            ValidationError,
            "text: too short",
        ),
    ],
)
def test_b17_who_refused_the_arguments(detail: Any, kind: type[Exception], says: str) -> None:
    with (
        serving(join=page({"detail": detail}, 422)) as server,
        Client(server.url) as client,
        pytest.raises(kind, match=says) as caught,
    ):
        client.predict("x", api_name="/echo")
    assert type(caught.value) is kind
    assert "parameter(s) failed" not in str(caught.value)


def test_b18_every_status_can_be_compared() -> None:
    for one, other in combinations(Status, 2):
        assert one < other
        assert one <= other
        assert other > one
        assert other >= one


def test_b19_a_callback_gets_the_job_whenever_it_is_added() -> None:
    go_on, told = threading.Event(), threading.Event()
    got: list[Future[Any]] = []

    def note(job: Future[Any]) -> None:
        got.append(job)
        told.set()

    data: Script = [stream(STARTS), wait(go_on), event(completed("x")), LAST_CHUNK]
    with serving(data=data) as server, Client(server.url) as client:
        job = client.submit("x", api_name="/echo")
        job.add_done_callback(note)
        go_on.set()
        assert told.wait(PATIENCE)
        job.add_done_callback(note)
    assert got == [job, job]
    assert isinstance(job, Job)


def test_b20_what_the_caller_gave_stays_the_caller_s() -> None:
    headers, cookies = {"X-Mine": "1"}, {"taste": "sweet"}
    more = {"X-Mine": "2"}
    with serving() as server, Client(server.url, headers=headers, cookies=cookies) as client:
        client.predict("x", api_name="/echo", headers=more)
        (join,) = server.asked(JOIN)
        (asked,) = server.asked("/config")
    assert (headers, cookies, more) == ({"X-Mine": "1"}, {"taste": "sweet"}, {"X-Mine": "2"})
    assert (asked.headers["x-mine"], asked.headers["cookie"]) == ("1", "taste=sweet")
    assert join.headers["x-mine"] == "2", "what is said for one call wins"


def test_b21_a_closed_client_is_closed() -> None:
    with serving(data=(stream(STARTS), hold)) as server:
        client = Client(server.url)
        job = client.submit("x", api_name="/echo")
        until_it_runs(job)
        before = _without_the_server()
        client.close()
        assert _without_the_server() == before - 1
        with pytest.raises(LocalProtocolError, match="closed"):
            client.predict("x", api_name="/echo")
        with pytest.raises(JobCancelledError):
            job.result()


def test_b22_jobs_have_no_threads() -> None:
    names = [f"e{number}" for number in range(30)]
    ids = iter(names)

    def join(visit: Visit) -> None:
        visit.say(page({"event_id": next(ids)}))

    go_on = threading.Event()
    data: Script = [
        stream(*[{**STARTS, "event_id": name} for name in names[:1]]),
        wait(go_on),
        *[event(completed(name, event_id=name)) for name in names],
        LAST_CHUNK,
    ]
    with serving(join=join, data=data) as server:
        before = _without_the_server()
        with Client(server.url) as client:
            jobs = [client.submit("x", api_name="/echo") for _ in names]
            while len(server.asked(JOIN)) < len(names):
                assert not jobs[0].done()
            assert _without_the_server() == before + 1
            go_on.set()
            assert sorted(job.result() for job in jobs) == sorted(names)


def _without_the_server() -> int:
    return sum(thread.name != "FaultServer" for thread in threading.enumerate())
