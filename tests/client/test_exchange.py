"""Requests and answers: each asker is told once, redirects stay at home, all has its bounds."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_gradio.client.answer import Answer
from sansio_gradio.client.commands import Abort, Expect, OpenWebSocket, SendRequest, SendText
from sansio_gradio.client.credentials import Credentials, Recipient
from sansio_gradio.client.exchange import (
    Answered,
    Came,
    Ended,
    Exchange,
    ExchangeFailed,
    Exchanges,
    Opened,
    Silent,
    Told,
)
from sansio_gradio.client.heartbeat import Heartbeat
from sansio_gradio.client.options import Options
from sansio_gradio.client.timers import Timers
from sansio_gradio.errors import (
    ConnectionLost,
    DeadlineExceeded,
    RemoteProtocolError,
)
from sansio_gradio.limits import Limits, Timeouts
from sansio_gradio.protocol.requests import HTTPRequest
from sansio_gradio.wire.url import URL, Address

BASE = URL.parse("http://app.example/mount/")
HERE = "http://app.example/mount/"
STREAM = (("Content-Type", "text/event-stream; charset=utf-8"),)
GET, POST = HTTPRequest("GET", "config"), HTTPRequest("POST", "queue/join", (), b"{}")


@attrs.define
class Ear:
    """One part that asks, which writes down what it is told."""

    told_of: list[Any] = attrs.field(factory=list[Any])

    @property
    def only(self) -> Any:
        (what,) = self.told_of
        return what


class Heard:
    """Exchanges whose ``Came`` is told to ears, as a conversation tells it to its parts."""

    def __init__(self, inner: Exchanges, timers: Timers[object]) -> None:
        self.inner = inner
        self.timers = timers
        self.ears: dict[int, Ear] = {}
        self.silences: dict[int, list[float]] = {}
        self.commands = inner.commands
        self.abort, self.abort_all, self.pause = inner.abort, inner.abort_all, inner.pause
        self.watch, self.send_text = inner.watch, inner.send_text

    def begin(self, ear: Ear, exchange: Exchange) -> int:
        number = self.inner.begin(exchange)
        self.ears[number] = ear
        return number

    def response(self, id: int, status: int, headers: Any) -> None:
        if (exchange := self.inner.running.get(id)) is not None:
            lower = tuple([(name.lower(), value) for name, value in headers])
            self.tell(self.inner.response(exchange, status, lower))

    def data(self, id: int, chunk: bytes) -> None:
        exchange = self.inner.running.get(id)
        if exchange is not None and exchange.is_open:
            exchange.last_heard = self.timers.now
            self.ears[exchange.given].told_of.append(chunk)
        elif exchange is not None:
            self.tell(self.inner.data(exchange, chunk))

    def text(self, id: int, text: str) -> None:
        if (exchange := self.inner.running.get(id)) is not None:
            self.tell(self.inner.text(exchange, text))

    def ended(self, id: int) -> None:
        if (exchange := self.inner.running.get(id)) is not None:
            self.tell(self.inner.ended(exchange))

    def failed(self, id: int, error: Exception) -> None:
        if (exchange := self.inner.running.get(id)) is not None:
            self.tell(self.inner.failed(exchange, error))

    def fire(self) -> None:
        while (name := self.timers.next_due()) is not None:
            assert isinstance(name, Exchange)
            self.tell(self.inner.timed_out(name))

    def tell(self, came: Came | None) -> None:
        if came is None:
            return
        ear = self.ears[came.exchange.given]
        match came:
            case Opened():
                ear.told_of.append("opened")
            case Ended():
                ear.told_of.append("ended")
            case Silent():
                self.silences[came.exchange.given].append(self.timers.now)
            case Told(_, what) | Answered(_, what) | ExchangeFailed(_, what):
                ear.told_of.append(what)


class Asking:
    """Exchanges with the surroundings played by the test."""

    def __init__(self, **options: Any) -> None:
        self.timers: Timers[object] = Timers(1000.0)
        self.timers.tell(0.0)
        headers = options.pop("headers", (("user-agent", "test"), ("accept", "*/*")))
        credentials = Credentials(headers=headers, cookies=options.pop("cookies", ()))
        credentials.add(Recipient.APP, BASE)
        limits = Limits(**options.pop("limits", {}))
        known = Options(entropy=bytes, limits=limits, timeouts=Timeouts(**options))
        exchanges = Exchanges(Address(BASE), credentials, self.timers, known)
        self.exchanges = Heard(exchanges, self.timers)

    def ask(
        self,
        request: HTTPRequest = GET,
        deadline: str | None = "request",
        discovering: bool = False,
    ) -> Ear:
        ear, what = Ear(), {"request": request, "deadline": deadline, "discovering": discovering}
        self.exchanges.begin(ear, Exchange(url=BASE, phase="testing", **what))  # type: ignore[arg-type]
        return ear

    def listen(self, *, deadline: str | None = None, websocket: bool = False) -> tuple[Ear, int]:
        ear = Ear()
        exchange = Exchange(
            request=HTTPRequest("GET", "stream", (("accept", "text/event-stream"),)),
            url=BASE,
            phase="testing",
            deadline=deadline,
            expect=Expect.STREAM,
            listener=Heartbeat("a session"),
            websocket=websocket,
        )
        return ear, self.exchanges.begin(ear, exchange)

    def commands(self) -> list[Any]:
        found = list(self.exchanges.commands)
        self.exchanges.commands.clear()
        return found

    def sent(self) -> SendRequest:
        (command,) = self.commands()
        assert isinstance(command, SendRequest)
        return command

    def answer(
        self, id: int, status: int = 200, body: bytes = b"", *headers: tuple[str, str]
    ) -> None:
        self.exchanges.response(id, status, headers)
        for byte in body:
            self.exchanges.data(id, bytes([byte]))
        self.exchanges.ended(id)

    def sleep(self, seconds: float) -> None:
        self.timers.tell(self.timers.now)
        self.timers.tell(self.timers.now + seconds)
        self.exchanges.fire()


# One question, one answer


def test_an_answer_is_told_whole_and_once() -> None:
    asking = Asking()
    ear = asking.ask()
    request = asking.sent()
    assert request == SendRequest(
        request.id,
        "GET",
        f"{HERE}config",
        (("accept-encoding", "identity"), ("user-agent", "test"), ("accept", "*/*")),
        None,
        Expect.ANSWER,
    )
    asking.answer(request.id, 200, b"body", ("X-Odd", "Value"))
    answer = ear.only
    assert (answer.status, answer.body) == (200, b"body")
    assert answer.headers == (("x-odd", "Value"),)
    assert str(answer.url) == f"{HERE}config"
    asking.answer(request.id, 500, b"more")
    asking.exchanges.failed(request.id, OSError("late"))
    asking.exchanges.text(request.id, "late")
    assert ear.only is answer
    assert asking.commands() == []


def test_a_request_s_own_headers_replace_the_general_ones() -> None:
    asking = Asking()
    asking.ask(HTTPRequest("POST", "x", (("accept", "text/plain"), ("a", "1"), ("a", "2")), b"b"))
    request = asking.sent()
    assert request.headers == (
        ("accept-encoding", "identity"),
        ("user-agent", "test"),
        ("accept", "text/plain"),
        ("a", "1"),
        ("a", "2"),
    )
    assert request.body == b"b"


def test_exchanges_do_not_mix() -> None:
    asking = Asking()
    one, two = asking.ask(), asking.ask(POST)
    first, second = asking.commands()
    assert first.id != second.id
    asking.exchanges.response(first.id, 200, ())
    asking.answer(second.id, 201, b"two")
    asking.exchanges.data(first.id, b"one")
    asking.exchanges.ended(first.id)
    assert (one.only.status, one.only.body) == (200, b"one")
    assert (two.only.status, two.only.body) == (201, b"two")


@pytest.mark.parametrize("error", [OSError("broken pipe"), EOFError()])
def test_foreign_errors_become_our_own(error: Exception) -> None:
    asking = Asking()
    ear = asking.ask()
    request = asking.sent()
    asking.exchanges.failed(request.id, error)
    lost = ear.only
    assert type(lost) is ConnectionLost
    assert lost.__cause__ is error
    assert (str(error) or "EOFError") in lost.message
    assert (lost.phase, lost.url, lost.status) == ("testing", f"{HERE}config", None)
    assert asking.commands() == []  # the surroundings know that it failed


def test_our_own_errors_keep_what_they_know() -> None:
    asking = Asking()
    ear = asking.ask()
    error = ConnectionLost("gone", phase="connect")
    asking.exchanges.response(asking.sent().id, 200, ())
    asking.exchanges.failed(1, error)
    assert ear.only is error
    assert (error.phase, error.status) == ("connect", 200)


def test_an_aborted_exchange_is_told_of_no_more() -> None:
    asking = Asking()
    ear = asking.ask(deadline="request")
    request = asking.sent()
    asking.exchanges.response(request.id, 200, ())
    asking.exchanges.abort(request.id)
    assert asking.commands() == [Abort(request.id)]
    asking.exchanges.abort(request.id)
    asking.exchanges.abort(None)
    asking.answer(request.id, 200, b"late")
    asking.sleep(1000.0)
    assert asking.commands() == []
    assert ear.told_of == []


def test_all_can_be_aborted_at_once() -> None:
    asking = Asking()
    ears = [asking.ask(), asking.ask(), asking.listen()[0]]
    asking.commands()
    asking.exchanges.abort_all()
    assert asking.commands() == [Abort(1), Abort(2), Abort(3)]
    assert [ear.told_of for ear in ears] == [[], [], []]


def test_an_answer_is_read_by_the_parser_that_was_given() -> None:
    url = URL.parse(HERE)
    assert Answer(200, (), b'{"a":1}', url).read() == {"a": 1}
    assert Answer(200, (), b'{"a":1}', url).json == {"a": 1}
    assert Answer(200, (), b"anything", url, len).json == 8
    assert Answer(200, (), b"no JSON", url).json is None
    with pytest.raises(RemoteProtocolError):
        Answer(200, (), b"no JSON", url).read()


# Bounds


def test_a_deadline_counts_to_the_last_byte() -> None:
    asking = Asking(request=10.0)
    ear = asking.ask(deadline="request")
    request = asking.sent()
    asking.exchanges.response(request.id, 200, ())
    for _ in range(9):
        asking.sleep(1.0)
        asking.exchanges.data(request.id, b".")
    assert ear.told_of == []
    asking.sleep(1.1)
    error = ear.only
    assert isinstance(error, DeadlineExceeded)
    assert (error.phase, error.status, error.url) == ("request", 200, f"{HERE}config")
    assert asking.commands() == [Abort(request.id)]


def test_an_answer_in_time_stops_the_deadline() -> None:
    asking = Asking(request=10.0)
    ear = asking.ask(deadline="request")
    asking.answer(asking.sent().id, 200, b"ok")
    asking.sleep(100.0)
    assert ear.only.body == b"ok"
    assert asking.timers.due is None


@pytest.mark.parametrize(("seconds", "name"), [(None, "request"), (5.0, None)])
def test_there_may_be_no_deadline(seconds: float | None, name: str | None) -> None:
    asking = Asking(request=seconds)
    ear = asking.ask(deadline=name)
    asking.sleep(1e9)
    assert ear.told_of == []


def test_a_deadline_covers_the_redirects() -> None:
    asking = Asking(request=10.0)
    ear = asking.ask(deadline="request")
    for _ in range(3):
        asking.sleep(3.0)
        asking.answer(asking.sent().id, 302, b"", ("Location", "again"))
    asking.sleep(1.1)
    assert isinstance(ear.only, DeadlineExceeded)


@given(extra=st.integers(-1, 1), piece=st.integers(1, 60))
def test_an_answer_has_a_limit(extra: int, piece: int) -> None:
    asking = Asking(limits={"answer": 50})
    ear = asking.ask()
    request = asking.sent()
    body = b"x" * (50 + extra)
    asking.exchanges.response(request.id, 200, ())
    for at in range(0, len(body), piece):
        asking.exchanges.data(request.id, body[at : at + piece])
    asking.exchanges.ended(request.id)
    if extra <= 0:
        assert ear.only.body == body
    else:
        assert isinstance(ear.only, RemoteProtocolError)
        assert asking.commands() == [Abort(request.id)]


def test_a_stream_has_no_limit_of_its_own() -> None:
    asking = Asking(limits={"answer": 5})
    ear, number = asking.listen()
    asking.exchanges.response(number, 200, STREAM)
    asking.exchanges.data(number, b"x" * 50)
    assert ear.told_of == ["opened", b"x" * 50]


@pytest.mark.parametrize("coding", ["gzip", "br", "identity, gzip"])
def test_encoded_answers_are_refused_at_their_head(coding: str) -> None:
    asking = Asking()
    ear = asking.ask()
    request = asking.sent()
    asking.exchanges.response(request.id, 200, (("Content-Encoding", coding),))
    assert isinstance(ear.only, RemoteProtocolError)
    assert coding in ear.only.message
    assert asking.commands() == [Abort(request.id)]


def test_encoded_streams_are_refused_too() -> None:
    asking = Asking()
    ear, number = asking.listen()
    asking.exchanges.response(number, 200, (*STREAM, ("content-encoding", "gzip")))
    assert isinstance(ear.only, RemoteProtocolError)


def test_identity_is_no_encoding() -> None:
    asking = Asking()
    ear = asking.ask()
    asking.answer(asking.sent().id, 200, b"ok", ("content-encoding", "Identity"))
    assert ear.only.body == b"ok"


# Redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/elsewhere?x=1", "http://app.example/elsewhere?x=1"),
        ("sub/config", f"{HERE}sub/config"),
        ("http://app.example:80/other", "http://app.example/other"),
        ("//app.example/other", "http://app.example/other"),
    ],
)
def test_a_get_follows_within_its_origin(status: int, location: str, url: str) -> None:
    asking = Asking()
    ear = asking.ask()
    first = asking.sent()
    asking.answer(first.id, status, b"moved", ("Location", location))
    second = asking.sent()
    assert (second.method, second.url, second.body) == ("GET", url, None)
    assert second.id != first.id
    asking.answer(first.id, 200, b"late")
    asking.answer(second.id, 200, b"here")
    assert ear.only.body == b"here"
    assert str(ear.only.url) == url


@pytest.mark.parametrize("status", [307, 308])
def test_a_post_is_sent_again(status: int) -> None:
    asking = Asking()
    ear = asking.ask(POST)
    asking.answer(asking.sent().id, status, b"", ("location", "/other"))
    request = asking.sent()
    assert (request.method, request.url, request.body) == (
        "POST",
        "http://app.example/other",
        b"{}",
    )
    asking.answer(request.id, 200, b"ok")
    assert ear.only.body == b"ok"


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_post_does_not_become_a_get(status: int) -> None:
    asking = Asking()
    ear = asking.ask(POST)
    asking.answer(asking.sent().id, status, b"body", ("location", "/other"))
    assert (ear.only.status, ear.only.body) == (status, b"body")
    assert asking.commands() == []


@pytest.mark.parametrize("status", [300, 304, 200, 404])
def test_other_answers_with_a_location_are_answers(status: int) -> None:
    asking = Asking()
    ear = asking.ask()
    asking.answer(asking.sent().id, status, b"", ("location", "/other"))
    assert ear.only.status == status


def test_a_redirect_to_nowhere_is_an_answer() -> None:
    asking = Asking()
    ear = asking.ask()
    asking.answer(asking.sent().id, 302, b"")
    assert ear.only.status == 302


@pytest.mark.parametrize("discovering", [False, True])
@pytest.mark.parametrize(
    "location",
    [
        "http://evil.example/config",
        "https://evil.example/config",
        "http://app.example:81/config",
        "https://app.example:81/config",
        "//evil.example/",
        "http://app.example.evil.example/",
    ],
)
def test_nothing_crosses_to_another_origin(location: str, discovering: bool) -> None:
    asking = Asking()
    ear = asking.ask(discovering=discovering)
    asking.answer(asking.sent().id, 302, b"", ("location", location))
    error = ear.only
    assert isinstance(error, RemoteProtocolError)
    assert location.removeprefix("http:").split("/")[2] in error.message
    assert (error.status, error.url) == (302, f"{HERE}config")  # what was asked
    assert asking.commands() == []


def test_while_discovering_http_may_become_https() -> None:
    asking = Asking()
    ear = asking.ask(discovering=True)
    asking.answer(asking.sent().id, 301, b"", ("location", "https://app.example/mount/config"))
    request = asking.sent()
    assert request.url == "https://app.example/mount/config"
    asking.answer(request.id, 302, b"", ("location", "http://app.example/mount/config"))
    assert isinstance(ear.only, RemoteProtocolError)  # and never back


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_while_discovering_a_post_is_sent_to_https_as_well(status: int) -> None:
    asking = Asking()
    ear = asking.ask(POST, discovering=True)
    to = "https://app.example/mount/queue/join"
    asking.answer(asking.sent().id, status, b"", ("location", to))
    request = asking.sent()
    assert (request.method, request.url, request.body) == ("POST", to, b"{}")
    asking.answer(request.id, 302, b"", ("location", "/"))
    assert ear.only.status == 302


@pytest.mark.parametrize("location", ["https://app.example/", "https://app.example/mount/other"])
def test_but_to_the_same_place_only(location: str) -> None:
    asking = Asking()
    ear = asking.ask(POST, discovering=True)
    asking.answer(asking.sent().id, 302, b"", ("location", location))
    assert isinstance(ear.only, RemoteProtocolError)
    assert "connect to it directly" in ear.only.message
    asking = Asking()
    ear = asking.ask(POST)  # a job's: its answer, whatever that means
    asking.answer(asking.sent().id, 302, b"", ("location", location))
    assert ear.only.status == 302


def test_the_user_s_own_cookies_go_along_to_https_and_others_do_not() -> None:
    asking = Asking(cookies={"own": "1"})
    asking.ask(discovering=True)
    first = asking.sent()
    assert ("cookie", "own=1") in first.headers
    to = ("location", "https://app.example/mount/config")
    asking.answer(first.id, 302, b"", to, ("set-cookie", "theirs=2; Path=/"))
    assert [value for name, value in asking.sent().headers if name == "cookie"] == ["own=1"]
    asking.ask()
    assert ("cookie", "own=1; theirs=2") in asking.sent().headers


def test_otherwise_it_may_not() -> None:
    asking = Asking()
    ear = asking.ask()
    asking.answer(asking.sent().id, 301, b"", ("location", "https://app.example/mount/config"))
    assert isinstance(ear.only, RemoteProtocolError)


@pytest.mark.parametrize("limit", [0, 1, 5])
def test_redirects_are_counted(limit: int) -> None:
    asking = Asking(limits={"redirects": limit})
    ear = asking.ask()
    for _ in range(limit):
        asking.answer(asking.sent().id, 302, b"", ("location", "config"))
    asking.answer(asking.sent().id, 302, b"", ("location", "config"))
    assert isinstance(ear.only, RemoteProtocolError)
    assert "redirects" in ear.only.message
    assert asking.commands() == []


@pytest.mark.parametrize("location", ["http://[", "ftp://app.example/", "http://a b/", "mailto:x"])
def test_a_redirect_to_what_is_no_address_is_the_server_s_mistake(location: str) -> None:
    asking = Asking()
    ear = asking.ask()
    asking.answer(asking.sent().id, 302, b"", ("location", location))
    assert isinstance(ear.only, RemoteProtocolError)
    assert asking.commands() == []


def test_what_came_with_a_redirect_is_no_part_of_the_answer() -> None:
    asking = Asking(limits={"answer": 10})
    ear = asking.ask()
    asking.answer(asking.sent().id, 302, b"x" * 10, ("location", "/a"))
    asking.answer(asking.sent().id, 200, b"y" * 10)
    assert ear.only.body == b"y" * 10


# Cookies


def test_cookies_come_back_to_where_they_are_from() -> None:
    asking = Asking()
    asking.ask()
    cookies = (("set-cookie", "a=1; Path=/"), ("Set-Cookie", "b=2; Path=/mount; HttpOnly"))
    asking.answer(asking.sent().id, 401, b"", *cookies)
    asking.ask(POST)
    (cookie,) = [value for name, value in asking.sent().headers if name == "cookie"]
    assert set(cookie.split("; ")) == {"a=1", "b=2"}


def test_there_is_one_cookie_field_also_beside_the_user_s_own() -> None:
    asking = Asking(headers=(("cookie", "theme=dark"), ("accept", "*/*"), ("cookie", "a=b")))
    asking.ask()
    first = asking.sent()
    assert first.headers[-2:] == (("accept", "*/*"), ("cookie", "theme=dark; a=b"))
    asking.answer(first.id, 200, b"", ("set-cookie", "token=1; Path=/"))
    asking.ask()
    second = asking.sent()
    assert second.headers == (*first.headers[:-1], ("cookie", "theme=dark; a=b; token=1"))


def test_a_cookie_that_is_set_by_a_redirect_goes_along() -> None:
    asking = Asking()
    asking.ask()
    asking.answer(asking.sent().id, 302, b"", ("location", "/x"), ("set-cookie", "a=1; Path=/"))
    assert ("cookie", "a=1") in asking.sent().headers


def test_cookies_age() -> None:
    asking = Asking()
    asking.ask()
    asking.answer(asking.sent().id, 200, b"", ("set-cookie", "a=1; Path=/; Max-Age=10"))
    asking.sleep(9.0)
    asking.ask()
    assert ("cookie", "a=1") in asking.sent().headers
    asking.sleep(2.0)
    asking.ask()
    assert not any(name == "cookie" for name, _ in asking.sent().headers)


# Streams and WebSockets


def test_a_listener_hears_as_it_comes() -> None:
    asking = Asking()
    ear, number = asking.listen()
    request = asking.sent()
    assert (request.id, request.expect) == (number, Expect.STREAM)
    assert ("accept", "text/event-stream") in request.headers
    asking.exchanges.response(number, 200, STREAM)
    asking.exchanges.data(number, b"one")
    asking.exchanges.data(number, b"two")
    assert ear.told_of == ["opened", b"one", b"two"]
    asking.exchanges.ended(number)
    asking.exchanges.data(number, b"late")
    asking.exchanges.ended(number)
    assert ear.told_of == ["opened", b"one", b"two", "ended"]


def test_a_stream_that_breaks_fails() -> None:
    asking = Asking()
    ear, number = asking.listen()
    asking.exchanges.response(number, 200, STREAM)
    asking.exchanges.failed(number, OSError("x"))
    assert ear.told_of[0] == "opened"
    assert type(ear.told_of[1]) is ConnectionLost
    assert ear.told_of[1].status == 200


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (200, (("content-type", "application/json"),)),
        (200, ()),
        (404, STREAM),
        (204, ()),
        (200, (("content-type", "text/event-streams"),)),
    ],
)
def test_what_is_no_stream_is_an_answer(status: int, headers: tuple[tuple[str, str], ...]) -> None:
    asking = Asking()
    ear, number = asking.listen()
    asking.answer(number, status, b"body", *headers)
    assert isinstance(ear.only, Answer)
    assert (ear.only.status, ear.only.body) == (status, b"body")


def test_a_stream_follows_redirects() -> None:
    asking = Asking()
    ear, number = asking.listen()
    asking.commands()
    asking.answer(number, 307, b"", ("location", "/mount/other"))
    request = asking.sent()
    assert request.expect is Expect.STREAM
    asking.exchanges.response(request.id, 200, STREAM)
    asking.exchanges.ended(request.id)
    assert ear.told_of == ["opened", "ended"]


def test_what_was_redirected_is_aborted_by_the_number_that_was_given() -> None:
    asking = Asking()
    ear, given = asking.listen()
    asking.commands()
    asking.answer(given, 307, b"", ("Location", "/elsewhere"))
    asking.answer(asking.sent().id, 307, b"", ("Location", "/there"))
    followed = asking.sent()
    asking.exchanges.response(followed.id, 200, STREAM)
    asking.exchanges.abort(given)
    assert asking.commands() == [Abort(followed.id)]
    asking.exchanges.data(followed.id, b"late")
    assert ear.told_of == ["opened"]
    asking.exchanges.abort(given)  # it is over already
    assert asking.commands() == []


def test_the_deadline_of_a_stream_counts_until_it_is_open() -> None:
    asking = Asking(join=10.0)
    slow, one = asking.listen(deadline="join")
    fast, two = asking.listen(deadline="join")
    asking.sleep(9.0)
    asking.exchanges.response(two, 200, STREAM)
    asking.sleep(1000.0)
    assert fast.told_of == ["opened"]
    assert isinstance(slow.only, DeadlineExceeded)
    asking.commands()
    asking.exchanges.response(one, 200, STREAM)
    assert len(slow.told_of) == 1


def test_the_deadline_of_a_refusal_counts_to_its_end() -> None:
    asking = Asking(join=10.0)
    ear, number = asking.listen(deadline="join")
    asking.exchanges.response(number, 500, ())
    asking.sleep(11.0)
    assert isinstance(ear.only, DeadlineExceeded)


def test_a_websocket_takes_and_gives_texts() -> None:
    asking = Asking()
    ear, number = asking.listen(websocket=True)
    (command,) = asking.commands()
    assert isinstance(command, OpenWebSocket)
    assert command.url == "ws://app.example/mount/stream"
    assert ("user-agent", "test") in command.headers
    asking.exchanges.response(number, 101, ())
    asking.exchanges.text(number, "hello")
    asking.exchanges.send_text(number, "yes?")
    assert asking.commands() == [SendText(number, "yes?")]
    asking.exchanges.ended(number)
    asking.exchanges.send_text(number, "anybody there?")
    asking.exchanges.text(number, "late")
    assert asking.commands() == []
    assert ear.told_of == ["opened", "hello", "ended"]


def test_an_event_stream_where_a_websocket_is_due_is_a_refusal() -> None:
    asking = Asking()
    ear, number = asking.listen(websocket=True)
    asking.answer(number, 200, b"data: x\n\n", *STREAM)
    assert isinstance(ear.only, Answer)


def test_a_switch_of_protocols_is_no_stream() -> None:
    asking = Asking()
    ear, number = asking.listen()
    asking.answer(number, 101, b"")
    assert isinstance(ear.only, Answer)


def test_texts_for_whoever_did_not_ask_for_them_are_dropped() -> None:
    asking = Asking()
    ear = asking.ask()
    asking.exchanges.text(asking.sent().id, "?")
    assert ear.told_of == []


def test_a_websocket_follows_redirects() -> None:
    asking = Asking()
    ear, number = asking.listen(websocket=True)
    asking.commands()
    asking.answer(number, 302, b"", ("location", "/other"))
    (command,) = asking.commands()
    assert isinstance(command, OpenWebSocket)
    assert command.url == "ws://app.example/other"
    asking.exchanges.response(command.id, 101, ())
    assert ear.told_of == ["opened"]
    asking.exchanges.send_text(number, "hello")
    assert asking.commands() == [SendText(command.id, "hello")]


# Silence


def watched() -> tuple[Asking, int, list[float]]:
    """A stream that may say nothing for 10 s, and when that has been noticed."""
    asking, silences = Asking(stream_idle=10.0), list[float]()
    _, id = asking.listen()
    asking.exchanges.silences[id] = silences
    asking.exchanges.watch(id)
    return asking, id, silences


def pass_time(asking: Asking, seconds: int) -> None:
    for _ in range(seconds):
        asking.sleep(1.0)


def test_a_stream_that_says_nothing_is_silent_once() -> None:
    asking, _, silences = watched()
    pass_time(asking, 50)
    assert silences == [10.0]


def test_head_and_data_are_said_and_each_gives_the_whole_time_again() -> None:
    asking, id, silences = watched()
    pass_time(asking, 3)
    asking.exchanges.response(id, 200, STREAM)
    for _ in range(3):
        pass_time(asking, 9)
        asking.exchanges.data(id, b"x")
    pass_time(asking, 1)
    asking.exchanges.data(id, b"x")
    pass_time(asking, 50)
    assert silences == [3.0 + 27.0 + 1.0 + 10.0]


def test_who_is_watched_anew_has_the_whole_time_again() -> None:
    asking, id, silences = watched()
    pass_time(asking, 9)
    asking.exchanges.watch(id)
    pass_time(asking, 9)
    assert silences == []
    pass_time(asking, 1)
    assert silences == [19.0]


def test_a_stream_that_is_paused_cannot_be_silent_and_has_the_whole_time_when_it_goes_on() -> None:
    asking, id, silences = watched()
    asking.exchanges.response(id, 200, STREAM)
    pass_time(asking, 9)
    assert asking.exchanges.pause(id, True)
    pass_time(asking, 99)
    assert asking.exchanges.pause(id, False)
    pass_time(asking, 9)
    assert silences == []
    pass_time(asking, 1)
    assert silences == [118.0]


def test_a_stream_may_be_watched_while_it_is_paused() -> None:
    asking, _, silences = watched()
    _, id = asking.listen()
    asking.exchanges.pause(id, True)
    asking.exchanges.watch(id)
    pass_time(asking, 99)
    assert silences == [10.0]


def test_what_is_over_is_not_watched() -> None:
    asking, id, silences = watched()
    asking.exchanges.abort(id)
    asking.exchanges.watch(id)
    asking.exchanges.watch(None)
    pass_time(asking, 50)
    assert silences == []
    assert asking.timers.due is None


def test_without_a_deadline_silence_is_none() -> None:
    asking, silences = Asking(stream_idle=None), list[float]()
    _, id = asking.listen()
    asking.exchanges.silences[id] = silences
    asking.exchanges.watch(id)
    asking.exchanges.response(id, 200, STREAM)
    pass_time(asking, 5)
    assert silences == []


def test_many_different_targets_each_have_their_own_address() -> None:
    asking = Asking()
    for number in range(100):
        for _ in range(2):
            asking.ask(HTTPRequest("GET", f"file={number}"))
            assert asking.sent().url == f"{BASE}file={number}"
