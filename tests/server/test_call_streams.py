"""The simple API (/call): what the recordings do not show."""

from __future__ import annotations

import pytest

from sansio_gradio.server.app import App, Slot
from sansio_gradio.server.components import TEXTBOX
from sansio_gradio.server.events import EndChannel, OpenChannel, SendEvent, SendResponse
from tests.support.served import Talk

TEXT = Slot(name="text", component=TEXTBOX)
MORE = Slot(name="more", component=TEXTBOX, has_default=True, default="d")


def talk_of(version: str = "6.31.0", max_size: int | None = None) -> Talk:
    app = App(version=version, max_size=max_size)
    app.add("f", parameters=[TEXT, MORE], returns=[TEXT])
    app.add("stop", cancels=["f"])
    return Talk(app)


def test_a_quiet_job_has_heartbeats() -> None:
    talk = talk_of()
    _, said = talk.post("call/f", data=["x", "y"])
    stream = talk.request("GET", f"call/f/{said['event_id']}")
    talk.pass_time(31)
    told = talk.told(stream)
    assert told == [OpenChannel(stream), *[SendEvent(stream, "heartbeat", None)] * 2]


def test_the_job_has_a_session_of_its_own_or_the_one_that_is_named() -> None:
    talk = talk_of()
    _, said = talk.post("call/f", data=["x", "y"])
    assert talk.submitted().session_hash == said["event_id"]
    talk.post("call/f", data=["x", "y"], session_hash="mine")
    talk.conversation.complete(0, ["z"], now=1)
    assert talk.submitted().session_hash == "mine"


def test_names_bring_defaults() -> None:
    talk = talk_of()
    assert talk.post("call/v2/f", text="a", oauth_token="t")[0] == 200
    assert talk.submitted().data == ["a", "d"]
    for wrong in ({"more": "b"}, {"text": "a", "other": 1}):
        assert talk.post("call/v2/f", **wrong)[0] == 500
    assert talk.idle()


def test_a_full_queue_takes_no_call() -> None:
    talk = talk_of(max_size=1)
    assert [talk.post("call/f", data=["x", "y"])[0] for _ in range(3)] == [200, 200, 503]


@pytest.mark.unmeasured
def test_a_session_that_is_forgotten_ends_its_stream_by_an_error() -> None:
    talk = talk_of()
    _, said = talk.post("call/f", data=["x", "y"])
    stream = talk.request("GET", f"call/f/{said['event_id']}")
    talk.told(stream)
    for number in range(2000):
        talk.post("queue/join", data=["x", "y"], fn_index=0, session_hash=str(number))
    assert talk.told(stream) == [
        SendEvent(stream, "error", "404: Not Found"),
        EndChannel(stream, clean=False),
    ]


@pytest.mark.parametrize(("version", "path"), [("4.19.2", "call/f"), ("6.12.0", "call/v2/f")])
def test_older_releases_have_none(version: str, path: str) -> None:
    assert talk_of(version).post(path, data=["x", "y"])[0] in (404, 405)


def test_the_openapi_document_says_how_to_call() -> None:
    talk = talk_of()
    status, document = talk.answer(talk.request("GET", "openapi.json"))
    assert status == 200
    paths = ["/gradio_api/call/v2/f", "/gradio_api/call/f/{event_id}"]
    assert list(document["paths"]) == paths  # and nothing of /stop, which is for browsers
    content = document["paths"][paths[0]]["post"]["requestBody"]["content"]
    schema = content["application/json"]["schema"]
    assert schema["properties"] == {"text": {"type": "string"}, "more": {"type": "string"}}


def test_a_host_that_is_none_is_not_this_machine() -> None:
    talk = talk_of()
    headers = (("host", "localhost"), ("origin", "http://[bad"))
    exchange = talk.request("GET", "app_id", headers=headers)
    (answer,) = talk.told(exchange)
    assert isinstance(answer, SendResponse)
    assert dict(answer.headers) == {"access-control-allow-credentials": "true"}


def test_a_stream_can_be_read_by_pages_of_other_origins() -> None:
    talk = talk_of()
    origin = (("origin", "http://page.example"), ("host", "app.example"))
    talk.join("x", "y")
    for path in ("queue/data?session_hash=s", "heartbeat/s"):
        opened, *_ = talk.told(talk.request("GET", path, headers=origin))
        assert isinstance(opened, OpenChannel)
        assert ("access-control-allow-origin", "http://page.example") in opened.headers
