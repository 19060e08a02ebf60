"""Requests and WebSockets through proxies and Unix sockets, on a pretended network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sansio_gradio.client.attempt import Attempt
from sansio_gradio.client.channels import PlainCall
from sansio_gradio.client.commands import CloseConnection, OpenConnection, StartTLS
from sansio_gradio.client.engine import Engine
from sansio_gradio.client.proxies import Proxies
from sansio_gradio.client.steps import Way
from sansio_gradio.client.tunnel import Tunnel
from sansio_gradio.client.via import Proxy
from sansio_gradio.errors import (
    AuthenticationError,
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    GradioError,
    LocalProtocolError,
    OptionError,
    RemoteProtocolError,
)
from sansio_gradio.events import Anomaly, ConnectingFailed, JobCompleted
from sansio_gradio.limits import Timeouts
from sansio_gradio.protocol.app_info import AppInfo
from sansio_gradio.testing.driver import Driver, bytes_of
from sansio_gradio.testing.entropy import counted_entropy
from sansio_gradio.testing.peers import Asked, ByHand, reply
from sansio_gradio.testing.talk import COUNT, ECHO, PLAIN, app, config
from sansio_gradio.wire.url import URL
from tests.support.second_host import WATCH

PROXY = "http://me:s3cret-w0rd@proxy.example:3128"
LOGIN = "Basic bWU6czNjcmV0LXcwcmQ="
VIA = ("proxy.example", 3128)
DONE = {"data": [1], "is_generating": False, "event_id": "e1"}
MADE = b"HTTP/1.1 200 Connection established\r\n\r\n"


class Net:
    """An engine, a peer that plays the proxy and what is behind it, and one session."""

    def __init__(
        self,
        src: str = "http://app.example/",
        answer: Callable[[Asked], bytes | None] = lambda _: None,
        proxy: str | Proxies | None = PROXY,
        **options: Any,
    ) -> None:
        self.peer = ByHand(self.connect, answer, self.serve)
        self.engine = Engine(entropy=counted_entropy(), timeouts=options.pop("timeouts", None))
        self.driver = Driver(self.engine, self.peer)
        self.config = options.pop("config", config())
        known: dict[str, Any] = {
            "app": AppInfo.from_config(self.config),
            "headers": {"x-own": "of-the-app"},
        }
        known |= options
        self.session = self.engine.session(src, proxy=proxy, **known)
        self.made: bytes | None = MADE

    def connect(self, asked: Asked) -> bytes | None:
        return self.made if asked.method == "CONNECT" else None

    def serve(self, asked: Asked) -> bytes | None:
        if "upgrade" in asked.headers or asked.method == "CONNECT":
            return None
        if asked.path.endswith("/app_id"):
            return reply({"app_id": self.config["app_id"]})
        return reply(self.config if asked.path.endswith("/config") else DONE)

    def submit(self, fn_index: int = PLAIN, **options: Any) -> int:
        job = self.session.submit("x", fn_index=fn_index, **options)
        self.driver.settle()
        return job

    def error(self, job: int) -> GradioError:
        end = self.driver.end(self.session.id, job)
        return end.error  # type: ignore[union-attr]

    @property
    def lines(self) -> list[str]:
        return [f"{asked.method} {asked.target}" for asked in self.peer.asked]


# Through a proxy


def test_http_is_forwarded_with_the_login_on_every_request() -> None:
    net = Net(app=None)
    assert isinstance(net.driver.end(1, net.submit()), JobCompleted)
    assert net.lines == [
        "GET http://app.example/config",
        "POST http://app.example/api/predict",
    ]
    assert {opened.via for opened in net.driver.opened} == {VIA}
    for asked in net.peer.asked:
        assert asked.headers["proxy-authorization"] == LOGIN
        assert (asked.headers["host"], asked.headers["x-own"]) == ("app.example", "of-the-app")


def test_no_post_goes_on_a_connection_that_its_proxy_may_have_closed() -> None:
    """tinyproxy closes it behind each answer, and does not say so."""
    net = Net(app=None)
    for _ in range(3):
        net.submit()
        net.session.reload()
        net.driver.settle()
    carried = [(asked.method, asked.conn) for asked in net.peer.asked]
    seen: set[int] = set()
    for method, conn in carried:
        assert method == "GET" or conn not in seen
        seen.add(conn)
    assert len(seen) < len(carried)  # a GET does


def test_behind_a_proxy_that_closes_each_connection_a_job_asks_once_for_its_app() -> None:
    net = Net(config=config(app_id=7, version="6.31.0"))
    for answered in range(1, 4):
        net.submit()
        for conn in list(net.driver.links):
            net.peer.hang_up(conn)
        net.driver.settle()
        asked = [line for line in net.lines if line.endswith("/app_id")]
        assert len(asked) <= answered
        assert net.lines.count("POST http://app.example/api/predict") == answered


def test_a_proxy_without_a_login_gets_none() -> None:
    net = Net(proxy="http://proxy.example:3128")
    net.submit()
    assert "proxy-authorization" not in net.peer.asked[0].headers


def test_https_goes_through_a_tunnel_in_which_the_proxy_has_no_part() -> None:
    net = Net("https://app.example:8443/")
    assert isinstance(net.driver.end(1, net.submit()), JobCompleted)
    assert net.driver.opened == [OpenConnection(1, "app.example", 8443, "app.example", VIA)]
    connect, request = net.peer.asked
    assert connect.headers == {"host": "app.example:8443", "proxy-authorization": LOGIN}
    assert (connect.method, connect.target) == ("CONNECT", "app.example:8443")
    assert (request.method, request.target) == ("POST", "/api/predict")
    assert "proxy-authorization" not in request.headers
    assert net.driver.links[1].secured


@pytest.mark.parametrize(
    "made",
    [
        MADE,
        b"HTTP/1.0 200 OK\r\n\r\n",  # which many say
        b"HTTP/1.1 100 Continue\r\n\r\n" + MADE,
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nvia: 1.1 x\r\n\r\n",  # to be ignored
        b"HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n",
    ],
)
def test_tls_begins_behind_the_answer_of_the_proxy(made: bytes) -> None:
    engine = Engine(entropy=counted_entropy())
    engine.session("https://app.example/", proxy=PROXY)
    engine.handle_timer(0.0)
    engine.next_command()
    engine.connection_made(1, 0.0)
    assert engine.next_command() is None
    assert engine.connections_with_data() == [1]
    assert bytes_of(engine.data_to_send(1)).startswith(b"CONNECT app.example:443 HTTP/1.1\r\n")
    assert engine.connections_with_data() == []
    with pytest.raises(LocalProtocolError, match="StartTLS"):
        engine.tls_made(1, 0.0)
    for byte in made:
        assert engine.next_command() is None
        engine.receive_data(1, bytes([byte]), 0.0)
    assert engine.next_command() == StartTLS(1, "app.example")
    engine.tls_made(1, 0.0)
    assert bytes_of(engine.data_to_send(1)).startswith(
        b"GET /config HTTP/1.1\r\nhost: app.example\r\n"
    )


@pytest.mark.parametrize(
    ("src", "target", "name"),
    [
        ("http://app.example/", "app.example:80", None),
        ("https://[::1]:8443/", "[::1]:8443", "::1"),
    ],
)
def test_a_websocket_goes_through_a_tunnel_even_without_tls(
    src: str, target: str, name: str | None
) -> None:
    net = Net(src, config=config("ws", "3.50.2"))
    net.submit(ECHO)
    connect, handshake = net.peer.asked
    assert (connect.method, connect.target) == ("CONNECT", target)
    assert connect.headers["proxy-authorization"] == LOGIN
    assert (handshake.target, handshake.headers["upgrade"]) == ("/queue/join", "websocket")
    assert handshake.headers["x-own"] == "of-the-app"
    assert "proxy-authorization" not in handshake.headers
    assert net.driver.opened[0].server_name == name


@pytest.mark.parametrize("status", [403, 405, 501])
def test_where_a_proxy_makes_no_tunnel_a_job_of_a_websocket_goes_past_the_queue(
    status: int,
) -> None:
    net = Net(config=config("ws", "3.50.2"))
    net.made = reply(b"<html>Filtered</html>", status)
    assert isinstance(net.driver.end(1, net.submit(ECHO)), JobCompleted)
    assert net.lines[0] == "CONNECT app.example:80"
    assert net.lines[-1] == "POST http://app.example/api/predict"
    assert len(net.driver.of(Anomaly)) == 1


def test_connections_are_kept_for_the_same_proxy_and_login_only() -> None:
    net = Net()
    for proxy in (None, "http://proxy.example:3128", PROXY.replace("me:", "you:"), PROXY):
        net.engine.session("http://app.example/", app=app(), proxy=proxy).reload()
        net.driver.settle()
    net.session.reload()
    net.driver.settle()
    assert [opened.via for opened in net.driver.opened] == [None, VIA, VIA, VIA]
    logins = [asked.headers.get("proxy-authorization") for asked in net.peer.asked]
    assert [login == LOGIN for login in logins] == [False, False, False, True, True]
    assert logins[:2] == [None, None]


def test_the_proxies_of_an_environment_are_asked_for_each_address() -> None:
    variables = {"HTTP_PROXY": PROXY, "NO_PROXY": "b.example"}
    proxies = Proxies.from_environment(variables)
    for src, via in (("http://a.example", VIA), ("http://b.example", None), ("https://a.b", None)):
        net = Net(src, proxy=proxies)
        net.submit()
        assert net.driver.opened[0].via == via


def test_a_proxy_that_cannot_be_used_is_refused_at_once() -> None:
    proxies = Proxies.from_environment({"HTTPS_PROXY": "socks5://h"})
    engine = Engine(entropy=counted_entropy())
    with pytest.raises(OptionError, match=r"^HTTPS_PROXY names .*SOCKS"):
        engine.session("https://app.example/", proxy=proxies)
    with pytest.raises(OptionError):
        engine.session("http://app.example/", proxy="socks5://h")


def test_one_to_which_a_redirect_leads_is_refused_then() -> None:
    def moved(_: Asked) -> bytes:
        return reply(b"", 301, "location: https://app.example/config")

    proxies = Proxies.from_environment({"HTTPS_PROXY": "socks5://h"})
    net = Net(answer=moved, proxy=proxies, app=None)
    job = net.submit()
    (failed,) = net.driver.of(ConnectingFailed)
    assert type(failed.error) is OptionError
    assert "SOCKS" in f"{net.error(job)}"
    assert len(net.driver.opened) == 1


def test_a_request_elsewhere_may_need_a_proxy_that_cannot_be_used_and_gets_no_query(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Elsewhere(PlainCall):
        def start(self, attempt: Attempt) -> Way:
            attempt.base = URL.parse("https://elsewhere.example/")
            yield from super().start(attempt)

    monkeypatch.setattr("sansio_gradio.client.dispatch.PlainCall", Elsewhere)
    net = Net(proxy=Proxies.from_environment({"HTTPS_PROXY": "socks5://h"}))
    assert type(net.error(net.submit())) is OptionError
    net.driver.sleep(1000.0)
    assert net.driver.opened == []
    net = Net("http://app.example/?token=x", proxy=None)
    assert isinstance(net.driver.end(1, net.submit()), JobCompleted)
    assert net.lines == ["POST /api/predict"]  # the token is the app's
    # The watch over all sessions has seen it.
    assert "for which nobody has asked" in "".join(WATCH.complaints())


# What a proxy says


def refusal(made: bytes, *, hangs_up: bool = False, proxy: str = PROXY) -> GradioError:
    net = Net("https://app.example/", proxy=proxy)
    net.made = made
    job = net.submit()
    if hangs_up:
        net.peer.hang_up(1)
        net.driver.settle()
    error = net.error(job)
    assert (error.phase, error.url) == ("connect", "https://app.example/api/predict")
    assert error.message.startswith("the proxy proxy.example:3128 (proxy=): ")
    assert "s3cret" not in f"{error!r} {error.__cause__!r}"
    assert not net.driver.links
    assert [asked.method for asked in net.peer.asked] == ["CONNECT"]  # and is not asked again
    return error


WANTS = "proxy-authenticate: Basic realm=x"


def test_a_proxy_that_wants_a_login_is_told_from_an_app_that_does() -> None:
    error = refusal(reply(b"<html>", 407, WANTS), proxy="proxy.example:3128")
    assert type(error) is AuthenticationError
    assert error.status == 407
    assert "it wants a login (407, Basic)" in error.message
    assert "http://user:password@host:port" in error.message


def test_a_proxy_that_refuses_the_login_says_so() -> None:
    error = refusal(reply(b"<html>", 407))
    assert type(error) is AuthenticationError
    assert "refuses this user and password (407)" in error.message


@pytest.mark.parametrize(
    ("made", "shown"),
    [
        (reply(b"<h1>No such host</h1>", 502), "502: '<h1>No such host</h1>'"),
        (reply(b"", 504), "504: nothing"),
        (reply(b"x" * 100_000, 503), "503: 'xxx"),
        (b"HTTP/1.1 503 No\r\n\r\nuntil the end", "503: 'until the end'"),
        (b"HTTP/1.1 503 No\r\ncontent-length: 99\r\n\r\nit breaks", "503: 'it breaks'"),
        (reply(b"", 302, "location: http://portal.example/"), "302: nothing"),
    ],
)
def test_a_proxy_that_cannot_connect_is_quoted(made: bytes, shown: str) -> None:
    error = refusal(made, hangs_up=b"100000" not in made)
    assert type(error) is ConnectFailed
    assert error.status == int(shown[:3])
    assert f"asked to connect to app.example:443, it answered {shown}" in error.message


def test_a_long_refusal_is_not_read_to_its_end() -> None:
    refused = b"HTTP/1.1 503 No\r\ncontent-length: 99999999\r\n\r\n" + b"x" * 5000
    assert "503: 'xxx" in refusal(refused).message


@pytest.mark.parametrize("made", [b"SSH-2.0\r\n\r\n", b"HTTP/2 200\r\n\r\n", b"\x15\x03\x01" * 9])
def test_what_is_no_proxy_is_found_out(made: bytes) -> None:
    error = refusal(made, hangs_up=True)
    assert type(error) is RemoteProtocolError
    assert "this is no answer of a proxy" in error.message


def test_nothing_may_come_before_it_was_asked_for() -> None:
    error = refusal(MADE + b"\x16\x03\x01")
    assert type(error) is RemoteProtocolError
    assert "sent bytes of app.example:443 before" in error.message


@pytest.mark.parametrize("made", [b"", b"HTTP/1.1 200 Connec"])
def test_a_proxy_that_hangs_up_is_told_so(made: bytes) -> None:
    error = refusal(made, hangs_up=True)
    assert type(error) is ConnectFailed
    assert "it ended the connection before it was connected to app.example:443" in error.message


def test_a_refusal_is_whole_however_it_is_cut() -> None:
    tunnel = Tunnel(Proxy("p", 1), URL.parse("https://a.example/"), Engine(entropy=bytes)._limits)
    tunnel.request()
    answer = reply(b"<h1>No</h1>", 502)
    for byte in answer[:-1]:
        assert tunnel.receive(bytes([byte])) is False
    with pytest.raises(ConnectFailed, match="502: '<h1>No</h1>'"):
        tunnel.receive(answer[-1:])


def test_a_break_is_the_proxys() -> None:
    net = Net("https://app.example/")
    net.made = None
    job = net.submit()
    net.driver.lose(1, ConnectionResetError(104, "Connection reset by peer"))
    error = net.error(job)
    assert type(error) is ConnectFailed
    assert error.message.startswith("the proxy proxy.example:3128 (proxy=): no connection to app")
    assert "reset by peer" in error.message


def test_a_proxy_that_is_not_there_is_named_once() -> None:
    net = Net("https://app.example/")
    why = ConnectFailed("No connection to proxy.example, port 3128: refused.", phase="connect")
    net.driver.refuse = lambda _: why
    error = net.error(net.submit())
    assert type(error) is ConnectFailed
    assert error.message == f"the proxy proxy.example:3128 (proxy=): {why.message}"
    assert f"{net.error(net.submit())}".count("the proxy") == 1


@pytest.mark.parametrize("made", [True, False])
def test_the_deadline_of_connecting_is_for_proxy_and_tunnel_together(made: bool) -> None:
    engine = Engine(entropy=counted_entropy(), timeouts=Timeouts(connect=3.0))
    engine.session("https://app.example/", proxy=PROXY)
    engine.handle_timer(0.0)
    engine.next_command()
    engine.handle_timer(0.0)
    if made:
        engine.connection_made(1, 2.0)
        engine.data_to_send(1)
    engine.handle_timer(2.9)
    assert engine.next_command() is None
    engine.handle_timer(3.0)
    assert engine.next_command() == CloseConnection(1)
    failed = engine.next_event()
    assert isinstance(failed, ConnectingFailed)
    assert type(failed.error) is DeadlineExceeded
    assert (failed.error.phase, failed.error.message[:9]) == ("connect", "the proxy")


def test_a_request_is_doubted_no_less_because_of_a_tunnel() -> None:
    net = Net(config=config("ws", "3.50.2"))
    net.made = None
    net.submit(ECHO)
    (transfer,) = net.engine._transfers.values()
    assert not transfer.handed_out  # the CONNECT was, and is none of it


def test_what_nobody_foresaw_ends_one_tunnel(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bool:
        raise MemoryError("no more")

    monkeypatch.setattr(Tunnel, "receive", fail)
    net = Net("https://app.example/")
    error = net.error(net.submit())
    assert type(error) is RemoteProtocolError
    assert not net.driver.links


@pytest.mark.parametrize("src", ["https://app.example/", "http://app.example/"])
def test_a_tunnel_that_is_given_up_is_not_asked_for(src: str) -> None:
    engine = Engine(entropy=counted_entropy())
    known = app() if src.startswith("https") else app("ws", "3.50.2")
    session = engine.session(src, proxy=PROXY, app=known)
    session.submit("x", fn_index=ECHO)
    engine.handle_timer(0.0)
    assert isinstance(engine.next_command(), OpenConnection)
    engine.connection_made(1, 0.0)  # and nothing is written yet
    session.close()
    for now in (1.0, 9.0):
        engine.handle_timer(now)
        _ = list(iter(engine.next_event, None))
    assert CloseConnection(1) in iter(engine.next_command, None)
    assert engine.data_to_send(1) == b""


def test_an_observer_sees_both_sides_of_a_tunnel() -> None:
    seen: list[tuple[str, Any]] = []
    engine = Engine(entropy=counted_entropy(), observe=lambda _, __, *what: seen.append(what))
    driver = Driver(engine, ByHand(lambda a: MADE if a.method == "CONNECT" else reply(config())))
    engine.session("https://app.example/", proxy=PROXY)
    driver.settle()
    assert ("received", MADE) in seen
    assert seen.index(("received", MADE)) < seen.index(("command", StartTLS(1, "app.example")))


# Answers to forwarded requests


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        (["Negotiate"], "Negotiate"),
        (['Digest realm="basic, or so"', "NTLM"], "Digest"),
        (["Negotiate", "basic realm=x"], None),
        (['Digest realm="x", Basic realm="y"'], None),
    ],
)
@pytest.mark.parametrize("proxy", [PROXY, "proxy.example:3128"])
def test_a_login_of_another_kind_is_named(fields: list[str], kind: str | None, proxy: str) -> None:
    wants = [f"proxy-authenticate: {field}" for field in fields]
    error = refusal(reply(b"", 407, *wants), proxy=proxy)
    assert type(error) is AuthenticationError
    other = f"it wants a login of another kind than Basic (407, {kind})"
    assert error.message.endswith(other) is (kind is not None)
    assert ("(407, Basic)" in error.message) is (kind is None)


def test_a_proxy_that_resets_the_connection_did_not_connect() -> None:
    engine = Engine(entropy=bytes)
    engine.session("https://app.example/", proxy=PROXY)
    engine.handle_timer(0.0)
    opening = engine.next_command()
    assert isinstance(opening, OpenConnection)
    engine.connection_made(opening.conn, 0.0)
    engine.data_to_send(opening.conn)
    engine.connection_lost(opening.conn, ConnectionLost("It was reset."), 0.0)
    failed = engine.next_event()
    assert isinstance(failed, ConnectingFailed)
    assert type(failed.error) is ConnectFailed
    assert failed.error.phase == "connect"
    assert failed.error.message == "the proxy proxy.example:3128 (proxy=): It was reset."


def answered(*answer: Any, proxy: str = PROXY) -> GradioError:
    net = Net(answer=lambda _: reply(*answer), proxy=proxy)
    return net.error(net.submit())


def test_a_407_to_a_forwarded_request_is_the_proxys() -> None:
    error = answered(b"<html>", 407, WANTS)
    assert type(error) is AuthenticationError
    assert error.message == (
        "the proxy proxy.example:3128 (proxy=): it refuses this user and password (407, Basic)"
    )
    error = answered(b"<html>", 407, proxy="proxy.example:3128")
    assert "it wants a login (407): name the proxy as" in error.message


def test_a_page_may_be_the_proxys() -> None:
    error = answered(b"<html>cannot connect</html>", 502)
    assert error.message.startswith(
        "the proxy proxy.example:3128 (proxy=), or a server behind it: the server answered 502: "
    )


def test_what_is_no_page_is_the_apps() -> None:
    assert "proxy" not in answered({"error": "no"}, 500).message


def test_a_407_without_a_proxy_says_what_it_is() -> None:
    net = Net(answer=lambda _: reply(b"", 407), proxy=None)
    error = net.error(net.submit())
    assert type(error) is AuthenticationError
    assert error.message.startswith("a proxy: it wants a login (407)")


def test_pages_of_what_is_behind_a_tunnel_are_not_the_proxys() -> None:
    net = Net("https://app.example/", answer=lambda _: reply(b"<html>", 502))
    assert "proxy" not in net.error(net.submit()).message


def test_a_forwarded_answer_that_breaks_names_the_proxy() -> None:
    net = Net(answer=lambda _: b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n")
    job = net.submit()
    net.driver.lose(1, ConnectionResetError(104, "reset"))
    error = net.error(job)
    assert type(error) is ConnectionLost
    assert "app.example port 80, through the proxy proxy.example:3128 (proxy=)," in error.message


# Unix sockets, and queries

SOCKET = "http+unix://%2Frun%2Fapp.sock"


def test_an_app_may_listen_at_a_unix_socket() -> None:
    net = Net(f"{SOCKET}/sub", app=None, proxy=None)
    assert isinstance(net.driver.end(1, net.submit()), JobCompleted)
    assert net.driver.opened == [OpenConnection(1, "localhost", 80, None, ("/run/app.sock", 0))]
    assert net.lines == ["GET /sub/config", "POST /sub/api/predict"]
    assert net.peer.asked[0].headers["host"] == "localhost"
    assert net.session.url == f"{SOCKET}/sub/"


def test_a_unix_socket_is_not_asked_through_a_proxy() -> None:
    net = Net(f"{SOCKET}/")
    net.submit()
    assert net.driver.opened[0].via == ("/run/app.sock", 0)


def test_an_answer_of_a_unix_socket_that_breaks_names_it() -> None:
    net = Net(SOCKET, answer=lambda _: b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n")
    job = net.submit()
    net.driver.lose(1, ConnectionResetError(104, "reset"))
    assert "through the socket /run/app.sock" in net.error(job).message


def test_a_redirect_of_an_app_at_a_unix_socket_stays_there() -> None:
    def moved(asked: Asked) -> bytes | None:
        there = "location: http://localhost/mnt/config"
        return reply(b"", 307, there) if asked.target == "/config" else None

    net = Net(SOCKET, answer=moved, app=None, proxy=None)
    assert isinstance(net.driver.end(1, net.submit()), JobCompleted)
    assert net.lines == ["GET /config", "GET /mnt/config", "POST /mnt/api/predict"]
    assert len(net.driver.opened) == 1


def test_a_redirect_of_an_app_at_a_unix_socket_does_not_leave_it() -> None:
    """Not even to https of its host, which is another party's localhost."""

    def moved(_: Asked) -> bytes:
        return reply(b"", 301, "location: https://localhost/config")

    net = Net(SOCKET, answer=moved, app=None, proxy=None)
    error = net.error(net.submit())
    assert type(error) is RemoteProtocolError
    assert "the socket /run/app.sock redirects to https://localhost: connect to it" in error.message
    assert [opened.via for opened in net.driver.opened] == [("/run/app.sock", 0)]


def test_two_sockets_are_two_places() -> None:
    net = Net(SOCKET)
    net.submit()
    for src in (SOCKET, SOCKET.replace("app", "other"), "http://localhost/"):
        net.engine.session(src, app=app()).submit("x", fn_index=PLAIN)
        net.driver.settle()
    places = [opened.via for opened in net.driver.opened]
    assert places == [("/run/app.sock", 0), ("/run/other.sock", 0), None]


def test_a_query_of_the_address_is_on_every_request_to_the_app() -> None:
    net = Net("http://app.example/?token=a%20b&session_hash=mine", app=None, proxy=None)
    net.submit(COUNT)
    assert net.lines[0] == "GET /config?token=a%20b&session_hash=mine"
    assert net.lines[1] == "POST /queue/join?token=a%20b&session_hash=mine"
    name = net.session.session_hash
    assert net.lines[2] == f"GET /queue/data?session_hash={name}&token=a%20b"  # its own counts
    assert net.session.url == "http://app.example/"


def test_a_query_goes_along_to_https_of_the_same_host() -> None:
    def moved(asked: Asked) -> bytes | None:
        there = f"location: https://app.example{asked.target}"
        return reply(b"", 308, there) if asked.conn == 1 else None

    net = Net("http://app.example/?token=x", answer=moved, app=None, proxy=None)
    assert isinstance(net.driver.end(1, net.submit()), JobCompleted)
    assert net.lines[1:] == ["GET /config?token=x", "POST /api/predict?token=x"]


def test_errors_do_not_show_the_query() -> None:
    net = Net("http://app.example/?token=s3cret-w0rd", answer=lambda _: reply(b"", 500), proxy=None)
    error = net.error(net.submit())
    assert error.url == "http://app.example/api/predict"
    assert "s3cret" not in f"{error!r} {error} {net.session.url}"
