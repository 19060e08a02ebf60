"""Which request means what."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

import pytest

from sansio_gradio.server.app import App, Slot
from sansio_gradio.server.components import TEXTBOX
from sansio_gradio.server.events import JobSubmitted
from tests.support.served import Wire

TEXT = Slot(name="x", component=TEXTBOX)
NOT_FOUND = (404, {"detail": "Not Found"})
NOT_ALLOWED = (405, {"detail": "Method Not Allowed"})


def wire_to(version: str | None = None, **options: Any) -> Wire:
    app = App(version=version, **options)
    app.add("f", parameters=[TEXT], returns=[TEXT])
    return Wire(app)


def status_and_body(seen: Any) -> tuple[int, Any]:
    return seen.status, seen.body


def test_documents() -> None:
    wire = wire_to()
    config = wire.get("/config").body
    assert config["root"] == "http://app.example"
    assert wire.get("/config/?page=x").body == config
    assert list(wire.get("/gradio_api/info").body["named_endpoints"]) == ["/f"]
    assert wire.get("/gradio_api/app_id").body == {"app_id": config["app_id"]}
    assert status_and_body(wire.get("/info")) == NOT_FOUND
    assert status_and_body(wire.get("/gradio_api/config")) == NOT_FOUND


def test_behind_a_proxy_the_root_is_the_proxys() -> None:
    config = wire_to().get("/config", x_forwarded_host="out.example", x_forwarded_proto="https")
    assert config.body["root"] == "https://out.example"


def test_the_page_holds_the_config_for_old_clients() -> None:
    wire = wire_to(title=";</script><b>&")
    for conn in (wire.ask("GET", "/"), wire.ask("GET", "")):
        seen = wire.seen(conn)
        if seen.status == 400:
            continue  # no target at all is no HTTP
        found = re.search(r"window.gradio_config = (.*?);[\s]*</script>", seen.body)
        assert found is not None
        assert json.loads(found[1]) == wire.get("/config").body
        assert seen.content_type == "text/html; charset=utf-8"
        assert "<h1>;&lt;/script&gt;&lt;b&gt;&amp;</h1>" in seen.body
    head = wire.seen(wire.ask("HEAD", "/"), "HEAD")
    assert (head.status, head.body, head.complete) == (200, "", True)


@pytest.mark.parametrize(
    ("method", "target", "answer"),
    [
        ("GET", "/nothing", NOT_FOUND),
        ("GET", "/gradio_api", NOT_FOUND),
        ("GET", "/gradio_apiinfo", NOT_FOUND),
        ("GET", "/gradio_api/heartbeat", NOT_FOUND),
        ("GET", "/gradio_api/heartbeat/a/b", NOT_FOUND),
        ("POST", "/config", NOT_ALLOWED),
        ("GET", "/gradio_api/queue/join", NOT_ALLOWED),
        ("POST", "/gradio_api/queue/data", NOT_ALLOWED),
        ("PUT", "/gradio_api/cancel", NOT_ALLOWED),
        ("GET", "/gradio_api/run/f", NOT_ALLOWED),
    ],
)
def test_what_is_not_there(method: str, target: str, answer: tuple[int, Any]) -> None:
    wire = wire_to()
    assert status_and_body(wire.seen(wire.ask(method, target), method)) == answer


@pytest.mark.parametrize(
    ("version", "target", "status"),
    [
        ("4.29.0", "/cancel", 404),
        ("4.31.0", "/cancel", 422),
        ("4.44.1", "/stream/x", 404),
        ("3.4.1", "/reset", 404),
        ("3.4.1", "/run/f", 404),
        ("3.4.1", "/api/f", 422),
        ("3.50.2", "/queue/join", 404),
        ("4.0.2", "/queue/join", 405),
        ("4.0.2", "/queue/data", 422),
        ("4.9.1", "/queue/join", 422),
    ],
)
def test_routes_come_and_go(version: str, target: str, status: int) -> None:
    assert wire_to(version).post(target, {}).status == status


def test_a_query_that_is_missing_is_422() -> None:
    wire = wire_to()
    wanted = [
        {
            "type": "missing",
            "loc": ["query", "session_hash"],
            "msg": "Field required",
            "input": None,
        }
    ]
    for target in ("queue/data", "queue/data?other=1", "queue/data?" + "&".join(["a=1"] * 200)):
        assert status_and_body(wire.get(f"/gradio_api/{target}")) == (422, {"detail": wanted})


def test_a_method_called_websocket_is_none() -> None:
    for version in ("3.50.2", "6.31.0"):
        wire = wire_to(version)
        prefix = wire.engine.app.api_prefix
        conn = wire.ask("WEBSOCKET", f"{prefix}/queue/join")
        assert wire.seen(conn, "POST").status in (404, 405)
        assert wire.next_event() is None
        conn = wire.ask("WEBSOCKET", f"{prefix}/nothing")
        assert status_and_body(wire.seen(conn, "POST")) == NOT_FOUND


def test_of_a_query_given_twice_the_last_counts() -> None:
    wire = wire_to()
    wire.post("/gradio_api/queue/join", {"data": ["x"], "fn_index": 0, "session_hash": "b"})
    stream = wire.ask("GET", "/gradio_api/queue/data?session_hash=a&session_hash=b")
    assert wire.seen(stream).messages[0]["msg"] == "estimation"


def test_a_session_may_have_any_name() -> None:
    wire = wire_to()
    name = "ä b/ü&="
    wire.post("/gradio_api/queue/join", {"data": ["x"], "fn_index": 0, "session_hash": name})
    event = wire.event()
    assert isinstance(event, JobSubmitted)
    assert event.session_hash == name
    stream = wire.ask("GET", f"/gradio_api/queue/data?session_hash={quote(name, safe='')}")
    assert wire.seen(stream).messages[0]["msg"] == "estimation"
    assert wire.get(f"/gradio_api/heartbeat/{quote(name, safe='')}").messages == [{"raw": "ALIVE"}]


def test_the_cancel_body_has_three_fields() -> None:
    wire = wire_to()
    status, body = status_and_body(wire.post("/gradio_api/cancel", {"event_id": "e"}))
    assert (status, [detail["loc"][1] for detail in body["detail"]]) == (
        422,
        ["session_hash", "fn_index"],
    )
    said = {"event_id": "e", "fn_index": 0, "session_hash": "s"}
    assert status_and_body(wire.post("/gradio_api/cancel", said)) == (200, {"success": True})


def test_reset_takes_what_it_finds() -> None:
    for said in ({}, {"fn_index": 0}, {"event_id": "e"}):
        assert wire_to().post("/gradio_api/reset", said).body == {"success": True}
    for wrong in (b"", {"event_id": 1}):
        assert wire_to().post("/gradio_api/reset", wrong).status == 422


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("fn_index=0&session_hash=s", 200),
        ("fn_index=0&session_hash=s&data=%5B1%5D", 200),
        ("fn_index=0&session_hash=s&data=nonsense", 422),
        ("fn_index=0&session_hash=s&data=1", 422),
        ("fn_index=0&session_hash=s&data=1%7D%2C%7B", 422),
        ("fn_index=0", 422),
        ("session_hash=s", 422),
        ("fn_index=x&session_hash=s", 500),
        ("fn_index=-1&session_hash=s", 500),
        ("fn_index=99999999999999999999&session_hash=s", 500),
    ],
)
def test_the_stream_of_a_job_is_asked_for_by_query(query: str, status: int) -> None:
    assert wire_to("4.0.2").get(f"/queue/join?{query}").status == status


def test_a_plain_call_by_either_path() -> None:
    wire = wire_to()
    for path in ("api/f", "run/f", "run/f/"):
        conn = wire.ask("POST", f"/gradio_api/{path}", {"data": ["x"]}, x_user="me")
        event = wire.event()
        assert isinstance(event, JobSubmitted)
        assert ("x-user", "me") in event.headers
        wire.engine.complete(event.job, ["y"], now=1)
        wire.settle()
        assert wire.seen(conn, "POST").body["data"] == ["y"]
