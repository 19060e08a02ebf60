"""What is asked of a server to see its routes: the same of a real one and of ours.

Each talk is a generator. It yields what to ask, and is sent the answer. ``FOLDER`` has the answers
of real servers, written by ``tests/data/make_routes.py``; ``recorded`` reads them.
"""

from __future__ import annotations

import functools
import json
import lzma
import re
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlencode

import attrs
import h11

FOLDER = Path(__file__).parents[1] / "data" / "routes"
VERSIONS = ("3.16.2", "3.50.2", "4.0.2", "4.19.2", "4.44.1", "6.31.0")
HOST = "app.example"
CONFIG = re.compile(r"window\.gradio_config = (.*?);\s*</script>", re.DOTALL)
FORM = "application/x-www-form-urlencoded"


@attrs.frozen
class Ask:
    """One request, and what to call it."""

    name: str
    method: str
    target: str
    body: bytes = b""
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str])

    @property
    def data(self) -> bytes:
        fields = {"host": HOST, "connection": "close", **self.headers}
        if self.body:
            fields["content-length"] = str(len(self.body))
        lines = [f"{name}: {value}" for name, value in fields.items()]
        return "\r\n".join([f"{self.method} {self.target} HTTP/1.1", *lines, "", ""]).encode() + (
            self.body
        )


@attrs.define
class Told:
    """An answer. ``body``: JSON, or text; of a page its config, of a style sheet nothing."""

    status: int
    headers: list[tuple[str, str]]
    body: Any

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]


Talk: TypeAlias = Generator[Ask, Told, None]


def understand(method: str, data: bytes) -> Told:
    """Read an answer, as far as it has come."""
    client = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 24)
    client.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
    client.send(h11.EndOfMessage())
    client.receive_data(data)
    told, body = Told(0, [], None), b""
    while True:
        try:
            event = client.next_event()
        except h11.RemoteProtocolError:
            break
        if isinstance(event, h11.Response):
            told.status = event.status_code
            pairs = [(name.decode().lower(), value.decode()) for name, value in event.headers]
            told.headers = sorted(pairs)
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        else:
            break
    text = body.decode()
    (kind, *_) = [*told.all("content-type"), ""]
    if kind == "application/json" and text:
        told.body = json.loads(text)
    elif kind.startswith("text/html"):
        config = CONFIG.search(text)
        told.body = json.loads(config[1]) if config else None
    else:
        told.body = None if kind.startswith("text/css") else text
    return told


def ask_all(talk: Talk, exchange: Callable[[bytes], bytes]) -> dict[str, tuple[Ask, Told]]:
    """Ask every question. *exchange* gives the bytes of an answer. Returns the answers by the names
    of the questions."""
    found: dict[str, tuple[Ask, Told]] = {}
    try:
        ask = next(talk)
        while True:
            assert ask.name not in found
            told = understand(ask.method, exchange(ask.data))
            found[ask.name] = ask, told
            ask = talk.send(told)
    except StopIteration:
        return found


def prefix(version: str) -> str:
    return "/gradio_api" if int(version.split(".", maxsplit=1)[0]) >= 5 else ""


def say(name: str, target: str, said: Any, **headers: str) -> Ask:
    kind = {"content-type": "application/json"}
    given = {key.replace("_", "-"): value for key, value in headers.items()}
    return Ask(name, "POST", target, json.dumps(said).encode(), {**kind, **given})


def form(name: str, target: str, **fields: str) -> Ask:
    return Ask(name, "POST", target, urlencode(fields).encode(), {"content-type": FORM})


def with_login(version: str) -> Talk:
    """Of an app that wants user "user" with password "secret"."""
    p = prefix(version)
    login = functools.partial(form, target="/login")
    for path in ("/config", f"{p}/info", "/", "/theme.css", "/robots.txt", f"{p}/token"):
        yield Ask(f"out {path}", "GET", path)
    for path in ("user", "login_check", "app_id", "startup-events", "queue/status", "openapi.json"):
        yield Ask(f"out {path}", "GET", f"{p}/{path}")
    yield Ask("out HEAD", "HEAD", "/")
    yield say("out join", f"{p}/queue/join", {"data": ["x"], "fn_index": 0, "session_hash": "s"})
    for path in ("run/echo_unqueued", "api/echo_unqueued", "call/echo"):
        yield say(f"out {path}", f"{p}/{path}", {"data": ["x"]})
    yield Ask("out queue/data", "GET", f"{p}/queue/data?session_hash=s")
    yield Ask("out call stream", "GET", f"{p}/call/echo/e")
    yield say("out reset", f"{p}/reset", {"event_id": "e", "fn_index": 0, "session_hash": "s"})
    yield say("out cancel", f"{p}/cancel", {"event_id": "e", "fn_index": 0, "session_hash": "s"})
    upgrade = {"connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
    upgrade["sec-websocket-key"] = "dGhlIHNhbXBsZSBub25jZQ=="
    yield Ask("out websocket", "GET", "/queue/join", b"", upgrade)

    yield login("wrong", username="user", password="wrong")
    yield login("nobody", username="nobody", password="secret")
    yield login("no password", username="user")
    yield login("empty", username="", password="")
    yield say("json", "/login", {"username": "user", "password": "secret"})
    yield Ask("login GET", "GET", "/login?username=user&password=secret")
    yield form(
        "login below the prefix", f"{p or '/deep'}/login", username="user", password="secret"
    )
    yield form("login slash", "/login/", username="user", password="secret")
    yield login("blanks", username=" user ", password="secret")
    yield login("blanks in the password", username="user", password=" secret ")
    parts = "".join(
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in {"username": "user", "password": "secret"}.items()
    )
    yield Ask(
        "multipart",
        "POST",
        "/login",
        f"{parts}--b--\r\n".encode(),
        {"content-type": "multipart/form-data; boundary=b"},
    )

    def cookies(told: Told) -> list[str]:
        return [value.partition(";")[0] for value in told.all("set-cookie")]

    def come(name: str, path: str, cookie: str) -> Ask:
        return Ask(name, "GET", path, b"", {"cookie": cookie})

    first = cookies((yield login("login", username="user", password="secret")))
    same = cookies((yield login("same user", username="user", password="secret")))
    everything = "; ".join(first)
    key, _, token = first[0].partition("=")
    yield come("first", "/config", first[0])
    yield come("last", "/config", first[-1])
    yield come("all", "/config", everything)
    yield come("quoted", "/config", f'{key}="{token}"')
    yield come("no id", "/config", f"access-token={token}")
    yield come("made up", "/config", f"{key}=nonsense")
    for scheme in ("Bearer", "Basic"):
        yield Ask(scheme, "GET", "/config", b"", {"authorization": f"{scheme} {token}"})
    for path in ("token", "user", "info", "login_check", "queue/status"):
        yield come(f"in {path}", f"{p}/{path}", everything)
    yield come("in /", "/", everything)
    yield come("token last", f"{p}/token", first[-1])
    body = {"data": ["x"]}
    yield say("in run", f"{p}/run/echo_unqueued", body, cookie=everything)
    yield Ask("logout POST", "POST", "/logout", b"", {"cookie": everything})
    yield come("logout", "/logout", everything)
    yield come("after logout", "/config", everything)
    yield come("after logout, same user", "/config", "; ".join(same))
    third = cookies((yield login("third", username="user", password="secret")))
    fourth = cookies((yield login("fourth", username="user", password="secret")))
    yield come("logout one", "/logout?all_session=false", "; ".join(third))
    yield come("third after logout one", "/config", "; ".join(third))
    yield come("fourth after logout one", "/config", "; ".join(fourth))
    yield Ask("logout out", "GET", "/logout")


def without_login(version: str) -> Talk:
    """Of an app without a login."""
    p = prefix(version)
    for path in ("/", "/config", "/config/", "/theme.css", "/robots.txt", "/logout", "/nothing"):
        yield Ask(f"GET {path}", "GET", path)
    for path in (
        *("info", "info?serialize=False", "app_id", "token", "user", "login_check", "nothing"),
        *("startup-events", "queue/status", "openapi.json", "theme.css", "login_check/"),
        *("queue/data", "run/echo", "call/echo", "heartbeat/s"),
    ):
        yield Ask(f"GET P/{path}", "GET", f"{p}/{path}")
    for path in ("/", "/config", "/robots.txt", "/theme.css", f"{p}/info", f"{p}/app_id"):
        yield Ask(f"HEAD {path}", "HEAD", path)
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        yield Ask(f"{method} /config", method, "/config")
        yield Ask(f"{method} P/queue/join", method, f"{p}/queue/join")
    yield form("login", "/login", username="user", password="secret")
    yield form("login without a password", "/login", username="user")
    yield say("run", f"{p}/run/echo_unqueued", {"data": ["x"]})
    yield say("run slash", f"{p}/run/echo_unqueued/", {"data": ["x"]})
    yield say("run nothing", f"{p}/run/nothing", {"data": ["x"]})
    yield say("run fails", f"{p}/run/fail", {"data": ["x"]})
    yield say("run without data", f"{p}/run/echo_unqueued", {})
    yield say("reset", f"{p}/reset", {"event_id": "e", "fn_index": 0, "session_hash": "s"})
    yield say("cancel", f"{p}/cancel", {"event_id": "e", "fn_index": 0, "session_hash": "s"})

    # Cross-origin requests of browsers, and of pages on this machine.
    def from_page(name: str, method: str, path: str, origin: str, **more: str) -> Ask:
        given = {key.replace("_", "-"): value for key, value in more.items()}
        return Ask(name, method, path, b"", {"origin": origin, **given})

    asks = {"access_control_request_method": "POST"}
    asks_more = {**asks, "access_control_request_headers": "content-type,x-gradio-user"}
    for origin in ("http://page.example", "http://localhost:3000", "null"):
        for host in ("app.example", "localhost:7860", "127.0.0.1:7860"):
            way = f"{origin} at {host}"
            yield from_page(f"GET from {way}", "GET", "/config", origin, host=host)
            join = f"{p}/queue/join"
            yield from_page(f"preflight from {way}", "OPTIONS", join, origin, host=host, **asks)
    yield from_page("with a cookie", "GET", "/config", "http://page.example", cookie="a=b")
    yield from_page(
        "preflight with headers", "OPTIONS", f"{p}/queue/join", "http://page.example", **asks_more
    )
    yield from_page("preflight nothing", "OPTIONS", "/nothing", "http://page.example", **asks)
    yield from_page("an error", "GET", "/nothing", "http://page.example")
    yield from_page("OPTIONS /config", "OPTIONS", "/config", "http://page.example")
    yield Ask("OPTIONS without origin", "OPTIONS", "/config")

    def call(name: str, path: str, said: Any) -> Generator[Ask, Told, None]:
        told = yield say(name, f"{p}/{path}", said)
        if told.status == 200:
            made = told.body["event_id"]
            yield Ask(f"{name}: stream", "GET", f"{p}/{path}/{made}")
            yield Ask(f"{name}: again", "GET", f"{p}/{path}/{made}")

    yield from call("call", "call/echo", {"data": ["x"]})
    yield from call("call generator", "call/count", {"data": [3]})
    yield from call("call of two", "call/divide", {"data": [7, 2]})
    yield from call("call fails", "call/fail", {"data": ["x"]})
    yield from call("call fails hidden", "call/fail_hidden", {"data": ["x"]})
    yield from call("call fails midway", "call/fail_midway", {"data": ["x"]})
    yield from call("call unqueued", "call/echo_unqueued", {"data": ["x"]})
    yield from call("call state", "call/remember", {"data": ["x", None]})
    yield from call("call without state", "call/remember", {"data": ["x"]})
    yield from call("call in a session", "call/echo", {"data": ["x"], "session_hash": "mine"})
    yield from call("call too few", "call/divide", {"data": [7]})
    yield say("call nothing", f"{p}/call/nothing", {"data": ["x"]})
    yield say("call without data", f"{p}/call/echo", {})
    yield say("call list", f"{p}/call/echo", ["x"])
    yield Ask("call unknown", "GET", f"{p}/call/echo/nonsense")
    yield from call("v2", "call/v2/greet", {"param_0": "a", "param_1": 2, "param_2": True})
    yield from call("v2 by names", "call/v2/greet", {"name": "a", "times": 2, "loud": True})
    yield from call("v2 some", "call/v2/greet", {"times": 1})
    yield from call("v2 empty", "call/v2/greet", {})
    yield from call("v2 state", "call/v2/remember", {"text": "x"})
    yield from call("v2 generator", "call/v2/count", {"steps": 2})
    yield say("v2 unknown name", f"{p}/call/v2/greet", {"nonsense": 1})
    yield say("v2 nothing", f"{p}/call/v2/nothing", {})
    yield say("v2 list", f"{p}/call/v2/greet", [1])


TALKS = {"with login": with_login, "without login": without_login}


@functools.cache
def recorded(version: str) -> dict[str, dict[str, Told]]:
    """What the real server of that version answered, by talk and name."""
    packed = (FOLDER / f"{version}.json.xz").read_bytes()
    talks = json.loads(lzma.decompress(packed))
    return {
        talk: {
            name: Told(told["status"], [tuple(pair) for pair in told["headers"]], told["body"])
            for name, told in answers.items()
        }
        for talk, answers in talks.items()
    }


# What differs between two runs of one server, or between its surroundings and ours.
EMPTY = '""'
EXPIRES = re.compile(r" expires=[^;]*;")
# Of the documents: see server/test_documents.py.
LEFT_OUT = {
    *(
        "body_css",
        "theme_hash",
        "vibe_mode",
        "footer_links",
        "run_history",
        "pwa",
        "deep_link_state",
    ),
    *("i18n_translations", "zerogpu", "documentation", "component_prop_inputs", "current_page"),
}
SURROUNDINGS = {"date", "server", "content-length", "connection", "transfer-encoding"}
TOKENS = re.compile(r'(access-token(?:-unsecure)?)(-[\w-]{43})?=([\w-]{22}|"")')


def shape(told: Told) -> dict[str, Any]:
    """What must be alike in two answers: status, headers without secrets, and keys."""
    headers = [
        (name, EXPIRES.sub("", TOKENS.sub(_masked, value)))
        for name, value in told.headers
        if name not in SURROUNDINGS
    ]
    return {"status": told.status, "headers": headers, "body": keys(told.body)}


def _masked(match: re.Match[str]) -> str:
    return f"{match[1]}{'-ID' if match[2] else ''}={'TOKEN' if match[3] != EMPTY else EMPTY}"


def keys(body: Any) -> Any:
    """The keys of a body, and its small values."""
    if isinstance(body, dict):
        if "loc" in body:  # what else a complaint has depends on the release of pydantic
            return {"loc": body["loc"]}
        if "token" in body:
            return [body["token"] is not None, body["user"]]
        if len(body) > 6 or not body.keys().isdisjoint({"named_endpoints", "openapi", "event_id"}):
            return sorted(body.keys() - LEFT_OUT)
        return {key: keys(value) for key, value in body.items()}
    if isinstance(body, list):
        return [keys(item) for item in body]
    if isinstance(body, str) and body.startswith("event: "):
        events = [part.removeprefix("event: ").split("\ndata: ") for part in body.split("\n\n")]
        assert events.pop() == [""]
        return [(name, json.loads(data)) for name, data in events]
    return body if isinstance(body, bool | str | None) else type(body).__name__
