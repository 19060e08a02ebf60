"""What may not stop a client: messages that no server of its protocol sends, and faults of our own.

Faults are put in through what a client is given (``json_loads``, ``observe``), and by breaking a
part of the library. Whatever it is, one exchange or one job ends in a documented error, and all
beside it goes on.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from sansio_gradio import Engine
from sansio_gradio.client.commands import Abort, OpenWebSocket, SendRequest
from sansio_gradio.errors import GradioError, LocalProtocolError, RemoteProtocolError
from sansio_gradio.events import (
    Anomaly,
    ConnectingFailed,
    JobCancelled,
    JobCompleted,
    JobFailed,
    SessionClosed,
)
from sansio_gradio.protocol.states import Msg
from sansio_gradio.testing.driver import Driver
from sansio_gradio.testing.entropy import counted_entropy
from sansio_gradio.testing.peers import ByHand, chunk, reply, stream_head
from sansio_gradio.testing.talk import (
    ECHO,
    Talk,
    app,
    completed,
    config,
    estimation,
    generating,
    starts,
)

KINDS = [*(str(msg) for msg in Msg), "heartbeat", "close_stream", "alive?", "of tomorrow"]
MESSAGES: dict[str, dict[str, Any]] = {
    **{kind: {"msg": kind} for kind in KINDS},
    "process_generating": generating(["y"]),
    "process_streaming": {**generating(["y"]), "msg": "process_streaming"},
    "process_completed": completed("z"),
    "log": {"msg": "log", "log": "hello", "level": "info"},
    "progress": {"msg": "progress", "progress_data": [{"index": 1, "length": 2}]},
}
WAYS: dict[str, list[dict[str, Any]]] = {
    "joining": [],
    "queued": [estimation()],
    "running": [starts()],
    "yielding": [starts(), generating(["y"])],
    "over": [starts(), completed("z")],
}
CHANNELS: dict[str, tuple[str | None, str, str | None]] = {
    "poll": (None, "3.1.4", None),
    "websocket": (None, "3.50.2", None),
    "stream of a job": ("sse", "4.0.2", None),
    "stream of a session": ("sse_v1", "4.16.0", None),
    "newest": ("sse_v3", "6.31.0", None),
    "call": ("sse_v3", "6.31.0", "call"),
}


class Two:
    """Two jobs on one channel, the second of which is told all that is odd."""

    def __init__(self, channel: str, **options: Any) -> None:
        announced, version, protocol = CHANNELS[channel]
        self.talk = Talk(app(announced, version), protocol=protocol, **options)
        self.jobs = [self.talk.conversation.submit("x", fn_index=ECHO) for _ in range(2)]
        self.streams: list[Any] = []
        for _ in range(6):
            self.answer_all()

    def answer_all(self) -> None:
        """Be the server that takes the jobs, and opens what is to be opened."""
        for command in self.talk.new():
            match command:
                case SendRequest(id, method="POST"):
                    name = {"event_id": f"e{id}", "hash": f"e{id}"}
                    self.streams += ["polled"] if "push" in command.url else []
                    self.talk.answer(command, name)
                case SendRequest() | OpenWebSocket():
                    self.talk.open(command)
                    self.streams.append(command)
                case _:
                    pass

    def say(self, which: int, *messages: dict[str, Any]) -> None:
        for one in messages:
            message: dict[str, Any] = one
            stream = self.streams[which if len(self.streams) > 1 else 0]
            if stream == "polled":
                self.say_if_asked(message)
                continue
            if len(self.streams) == 1:  # theirs in common
                message = {**message, "event_id": self.event_ids[which]}
            if CHANNELS["call"][2] == self.talk.conversation.protocol:
                kind = {"process_generating": "generating", "process_completed": "complete"}
                event = kind.get(message["msg"], message["msg"])
                data = json.dumps(message.get("output", {}).get("data"))
                text = f"event: {event}\ndata: {data}\n\n"
                self.talk.conversation.data(stream.id, text.encode(), self.talk.now)
            else:
                self.talk.send(stream, message)
            self.answer_all()

    def say_if_asked(self, message: dict[str, Any]) -> None:
        """To the polls of the second job, this; to the others, that the job runs."""
        for poll in self.talk.sleep(0.6):
            assert isinstance(poll, SendRequest)
            is_odd = poll.body == json.dumps({"hash": self.event_ids[1]}).encode()
            odd: dict[str, Any] = {"status": message["msg"], "data": message.get("output")}
            self.talk.answer(poll, odd if is_odd else {"status": "PENDING", "data": None})

    @property
    def event_ids(self) -> list[str]:
        paths = ("/queue/join", "/queue/push/")
        joins = [one for one in self.talk.asked if getattr(one, "url", "").endswith(paths)]
        return [f"e{join.id}" for join in joins]

    def finish(self, which: int) -> None:
        if self.streams[0] == "polled":
            for poll in self.talk.sleep(0.6):
                self.talk.answer(poll, {"status": "COMPLETE", "data": {"data": ["good"]}})
        else:
            self.say(which, completed("good"))


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("channel", CHANNELS)
def test_no_message_stops_a_client_on_any_channel(channel: str, way: str, strict: bool) -> None:
    for kind in KINDS:
        two = Two(channel, strict=strict)
        two.say(1, *WAYS[way])
        two.say(1, MESSAGES[kind])
        two.finish(0)
        assert two.talk.data_of(two.jobs[0]) == ("good",), kind
        if not two.talk.ends_of(two.jobs[1]):
            two.finish(1)
        assert two.talk.last_of(two.jobs[1]), kind


@pytest.mark.parametrize("channel", ["stream of a job", "stream of a session", "newest"])
def test_who_we_are_is_asked_on_websockets_only(channel: str) -> None:
    two = Two(channel)
    two.say(1, MESSAGES["send_hash"])
    (odd,) = two.talk.of(Anomaly)
    assert "'send_hash'" in odd.what
    two.finish(1)
    assert two.talk.data_of(two.jobs[1]) == ("good",)


@pytest.mark.parametrize("channel", ["stream of a session", "newest"])
def test_data_that_is_there_is_not_sent_again(channel: str) -> None:
    two = Two(channel)
    asked = len(two.talk.asked)
    two.say(1, MESSAGES["send_data"])
    assert len(two.talk.asked) == asked
    (odd,) = two.talk.of(Anomaly)
    assert "'send_data'" in odd.what


@pytest.mark.parametrize("kind", ["send_hash", "send_data"])
def test_what_is_asked_out_of_turn_is_not_answered(kind: str) -> None:
    two = Two("websocket")
    two.say(1, starts())
    asked = len(two.talk.asked)
    two.say(1, MESSAGES[kind])
    assert len(two.talk.asked) == asked
    assert two.talk.of(Anomaly)


# Faults of our own


class Broken(Exception):
    """What nobody foresaw; it cannot even say what it is."""

    def __str__(self) -> str:
        raise ValueError("no words")


def raising(*_: Any, **__: Any) -> Any:
    raise Broken


def lost_to(error: GradioError) -> bool:
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, Broken):
        cause = cause.__cause__
    return cause is not None


def picky(text: str | bytes) -> Any:
    """A parser with a fault: it does not bear a certain text."""
    if "poison" in (text if isinstance(text, str) else text.decode()):
        raise Broken
    return json.loads(text)


POISONED = {**completed("poison")}


@pytest.mark.parametrize("channel", ["websocket", "stream of a job", "call"])
def test_a_fault_in_one_exchange_ends_the_job_on_it_and_no_other(channel: str) -> None:
    two = Two(channel, json_loads=picky)
    two.say(1, POISONED)
    error = two.talk.failure_of(two.jobs[1])
    assert isinstance(error, RemoteProtocolError)
    assert lost_to(error)
    assert two.talk.of(Anomaly)
    two.finish(0)
    assert two.talk.data_of(two.jobs[0]) == ("good",)


def test_a_fault_in_a_stream_ends_the_jobs_on_it_and_the_next_one_works() -> None:
    two = Two("newest", json_loads=picky)
    two.say(1, POISONED)
    for job in two.jobs:
        assert lost_to(two.talk.failure_of(job))
    job = two.talk.conversation.submit("x", fn_index=ECHO)
    two.streams.clear()
    two.answer_all()
    two.answer_all()
    stream = two.streams[0]
    two.talk.send(stream, completed("good", event_id=two.event_ids[-1]))
    assert two.talk.data_of(job) == ("good",)


@pytest.mark.parametrize("channel", ["websocket", "stream of a job", "newest", "call"])
@pytest.mark.parametrize(
    "part", ["job.status_of", "job.Job.accepted", "job.Job._finish", "job.Job._status"]
)
def test_a_fault_with_one_job_is_no_affair_of_those_beside_it(
    channel: str, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = Two(channel)
    with monkeypatch.context() as patch:
        patch.setattr(f"sansio_gradio.client.{part}", raising)
        two.say(1, starts(), completed("z"))
    two.finish(0)
    assert two.talk.data_of(two.jobs[0]) == ("good",)
    end = two.talk.ends_of(two.jobs[1])
    assert len(end) == 1
    if isinstance(end[0], JobFailed):
        assert isinstance(end[0].error, RemoteProtocolError)
        assert lost_to(end[0].error)
        assert two.talk.of(Anomaly)


@pytest.mark.parametrize("verb", ["response", "failed"])
def test_a_fault_in_whatever_is_told_of_a_request_ends_it(
    verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk = Talk(app())
    job = talk.conversation.submit("x", fn_index=ECHO)
    request = talk.request("/queue/join")
    with monkeypatch.context() as patch:
        if verb == "response":
            patch.setattr("sansio_gradio.client.exchange.header", raising)
            plain = (("content-encoding", "identity"),)
            talk.conversation.response(request.id, 200, plain, talk.now)
        else:
            patch.setattr("sansio_gradio.client.exchange.ConnectionLost", raising)
            talk.lose(request)
    assert lost_to(talk.failure_of(job))


def test_a_fault_while_a_job_is_taken_ends_this_job(monkeypatch: pytest.MonkeyPatch) -> None:
    talk = Talk(app())
    job = talk.conversation.submit("x", fn_index=ECHO)
    request = talk.request("/queue/join")
    with monkeypatch.context() as patch:
        patch.setattr("sansio_gradio.client.answer.Answer.name_given", raising)
        talk.answer(request, {"event_id": "a"})
    assert lost_to(talk.failure_of(job))


@pytest.mark.parametrize(
    "part",
    ["call.Call.endpoint_of", "dispatch.Dispatch.channel_for", "dispatch.SessionStream.start"],
)
def test_a_fault_while_a_job_is_handed_in_ends_this_job(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk = Talk(app())
    with monkeypatch.context() as patch:
        patch.setattr(f"sansio_gradio.client.{part}", raising)
        job = talk.conversation.submit("x", fn_index=ECHO)
    assert lost_to(talk.failure_of(job))
    job = talk.conversation.submit("x", fn_index=ECHO)
    talk.request("/queue/join")


def test_a_fault_when_the_deadline_of_a_job_passes_ends_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    talk = Talk(app())
    job = talk.conversation.submit("x", fn_index=ECHO, timeout=5.0)
    talk.request("/queue/join")
    with monkeypatch.context() as patch:
        patch.setattr("sansio_gradio.client.conversation.Conversation._expire", raising)
        talk.sleep(5.1)
    assert lost_to(talk.failure_of(job))


def test_a_fault_when_a_request_is_late_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    talk = Talk(app())
    job = talk.conversation.submit("x", fn_index=ECHO)
    request = talk.request("/queue/join")
    times: list[int] = []

    def abort(id: int) -> Abort:
        times.append(id)
        if len(times) == 1:
            raise Broken
        return Abort(id)

    with monkeypatch.context() as patch:
        patch.setattr("sansio_gradio.client.exchange.Abort", abort)
        assert talk.sleep(60.1) == [Abort(request.id)]
    assert lost_to(talk.failure_of(job))


def test_a_fault_before_a_job_goes_ends_it_when_its_deadline_passes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    talk = Talk()
    job = talk.conversation.submit("x", fn_index=ECHO, timeout=5.0)
    talk.request("/config")
    with monkeypatch.context() as patch:
        patch.setattr("sansio_gradio.client.conversation.Conversation._expire", raising)
        talk.sleep(5.1)
    assert lost_to(talk.failure_of(job))


def test_a_fault_of_a_timer_that_is_nobody_s_is_an_anomaly(monkeypatch: pytest.MonkeyPatch) -> None:
    talk = Talk(app())
    monkeypatch.setattr("sansio_gradio.client.conversation.Conversation._force_close", raising)
    talk.conversation.submit("x", fn_index=ECHO)
    talk.look()
    talk.conversation.close()
    talk.sleep(2.1)
    assert talk.of(Anomaly)


def test_a_fault_while_an_output_is_made_ends_its_job(monkeypatch: pytest.MonkeyPatch) -> None:
    two = Two("newest")
    two.say(1, starts())
    with monkeypatch.context() as patch:
        patch.setattr("sansio_gradio.client.job.change_of", raising)
        two.say(1, generating(["y"]), generating(["yy"]))
    assert lost_to(two.talk.failure_of(two.jobs[1]))
    assert len(two.talk.of(Anomaly)) == 1
    two.finish(0)
    assert two.talk.data_of(two.jobs[0]) == ("good",)


def test_a_fault_in_discovery_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sansio_gradio.protocol.app_info.AppInfo.from_config", raising)
    talk = Talk()
    job = talk.conversation.submit("x", fn_index=ECHO)
    talk.answer(talk.request("/config"), {})
    (event,) = talk.of(ConnectingFailed)
    assert lost_to(event.error)
    assert isinstance(talk.failure_of(job), RemoteProtocolError)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_is_no_exception_passes_through(error: type[BaseException]) -> None:
    def json_loads(_: str | bytes) -> Any:
        raise error

    two = Two("websocket", json_loads=json_loads)
    with pytest.raises(error):
        two.say(1, starts())


# Around the conversation: the engine


CONFIG: Any = app("sse", "4.0.2").config


def answers(asked: Any) -> bytes:
    if asked.path.endswith("config"):
        return reply(CONFIG)
    return stream_head() + chunk(starts())


def driven(**options: Any) -> tuple[Driver, ByHand, Any, list[int]]:
    """Two jobs that run, each on a stream of its own."""
    peer = ByHand(answers)
    engine = Engine(entropy=counted_entropy(), **options)
    driver = Driver(engine, peer)
    session = engine.session("http://app.example/")
    jobs = [session.submit("x", fn_index=ECHO) for _ in range(2)]
    driver.settle()
    return driver, peer, session, jobs


def complete(driver: Driver, peer: ByHand, conn: int) -> None:
    peer.say(conn, chunk(completed("good")))
    driver.settle()


@pytest.mark.parametrize(
    "part",
    [
        "connection.RequestConnection.receive",
        "engine.Engine._deliver",
        "conversation.Conversation.receive",
    ],
)
def test_a_fault_on_one_connection_ends_what_it_carries(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver, peer, session, (bad, good) = driven()
    first, second = (asked.conn for asked in peer.asked[1:])
    with monkeypatch.context() as patch:
        patch.setattr(f"sansio_gradio.client.{part}", raising)
        complete(driver, peer, first)
    complete(driver, peer, second)
    end = driver.end(session.id, bad)
    assert isinstance(end, JobFailed)
    assert isinstance(end.error, RemoteProtocolError)
    assert lost_to(end.error)
    assert driver.of(Anomaly)
    assert isinstance(driver.end(session.id, good), JobCompleted)
    assert first in driver.closed


@pytest.mark.parametrize("part", ["connection.HTTPConnection.send_request", "engine.URL.parse"])
def test_a_request_that_cannot_be_made_ends_its_exchange(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver, peer, session, jobs = driven()
    with monkeypatch.context() as patch:
        patch.setattr(f"sansio_gradio.client.{part}", raising)
        bad = session.submit("x", fn_index=ECHO)
        driver.settle()
    end = driver.end(session.id, bad)
    assert isinstance(end, JobFailed)
    assert lost_to(end.error)
    for asked in peer.asked[1:]:
        complete(driver, peer, asked.conn)
    assert all(isinstance(driver.end(session.id, job), JobCompleted) for job in jobs)


def test_a_fault_when_a_connection_is_late_ends_what_it_was_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = Engine(entropy=counted_entropy())
    session = engine.session("http://app.example/")
    assert engine.next_command() is not None
    engine.handle_timer(1000.0)
    calls: list[int] = []
    what_broke = engine._connections[1].what_broke

    def at_first(error: Any) -> Any:
        calls.append(1)
        return raising() if len(calls) == 1 else what_broke(error)

    monkeypatch.setattr(
        "sansio_gradio.client.connection.Connection.what_broke", lambda _, error: at_first(error)
    )
    engine.handle_timer(1011.0)
    events = list(iter(engine.next_event, None))
    assert any(isinstance(event, ConnectingFailed) for event in events)
    session.close()


def test_who_looks_on_and_raises_is_told_no_more() -> None:
    seen: list[Any] = []

    def observe(*what: Any) -> None:
        seen.append(what)
        if len(seen) == 3:
            raise Broken

    driver, peer, session, jobs = driven(observe=observe)
    for asked in peer.asked[1:]:
        complete(driver, peer, asked.conn)
    assert all(isinstance(driver.end(session.id, job), JobCompleted) for job in jobs)
    assert len(seen) == 3
    assert len(driver.of(Anomaly)) == 1


def test_who_looks_on_and_raises_at_the_end_does_not_prolong_it() -> None:
    def observe(_now: float, _conn: int | None, _way: str, what: Any) -> None:
        if isinstance(what, SessionClosed):
            raise Broken

    driver, _, session, _ = driven(observe=observe)
    session.close()
    driver.sleep(3.0)
    assert isinstance(driver.events[-1], SessionClosed)


@pytest.mark.parametrize("channel", ["newest", "stream of a job"])
def test_an_answer_to_a_cancel_that_cannot_be_read_ends_the_job_and_holds_up_no_other(
    channel: str,
) -> None:
    announced, version, protocol = CHANNELS[channel]
    talk = Talk(app(announced, version), protocol=protocol, json_loads=picky)
    job = talk.conversation.submit("x", fn_index=ECHO)
    first = talk.new()[0]
    if channel == "newest":
        talk.answer(first, {"event_id": "e"})
        first = talk.new()[0]
    talk.open(first)
    talk.send(first, starts("e"))
    talk.conversation.cancel(job)
    talk.answer(talk.new()[0], "poison")
    end = talk.last_of(job)
    assert isinstance(end, JobCancelled)
    assert end.stopped_on_server is None
    assert talk.of(Anomaly)
    talk.send(first, completed("x", event_id="e"))
    talk.new()
    talk.conversation.submit("x", fn_index=ECHO)
    assert any(isinstance(command, SendRequest) for command in talk.new())


def test_an_info_that_cannot_be_read_is_asked_for_again() -> None:
    talk = Talk(app(), json_loads=picky)
    for _ in range(2):
        job = talk.conversation.submit(text="x", fn_index=ECHO)
        talk.answer(talk.request("/info"), "poison")
        assert lost_to(talk.failure_of(job))


def test_a_fault_in_what_ends_a_job_by_a_fault_is_told_as_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    talk = Talk(app())
    talk.conversation.submit("x", fn_index=ECHO, timeout=5.0)
    talk.request("/queue/join")
    with monkeypatch.context() as patch:
        for verb in ("_expire", "_fail"):
            patch.setattr(f"sansio_gradio.client.conversation.Conversation.{verb}", raising)
        talk.sleep(5.1)
    assert len(talk.of(Anomaly)) == 2


# What is read of the app


class Spoiled(AssertionError):
    """Of a parser that fails where it may not."""


def spoiled_talk(spoiled: bytes, **options: Any) -> tuple[Talk, list[bool]]:
    """A conversation whose parser fails at texts with *spoiled* in them, as long as it is told."""
    fails = [True]

    def loads(text: str | bytes) -> Any:
        if fails[0] and spoiled in (text if isinstance(text, bytes) else text.encode()):
            raise Spoiled
        return json.loads(text)

    return Talk(app(app_id=7, **options), json_loads=loads), fails


@pytest.mark.parametrize("what", ["app_id", "components"])
@pytest.mark.parametrize("by_hand", [False, True])
def test_an_app_in_doubt_stays_in_doubt_when_a_fault_ends_the_question(
    what: str, by_hand: bool
) -> None:
    talk, fails = spoiled_talk(what.encode())
    turned = {**config(app_id=8), "dependencies": []}
    talk.conversation.doubt_app(talk.now)
    lost = 0
    if by_hand:
        talk.conversation.reload()
    else:
        lost = talk.conversation.submit("x", api_name="/plain")
    for _ in range(2):
        for command in talk.new():
            assert isinstance(command, SendRequest)
            talk.answer(command, {"app_id": 8} if command.url.endswith("app_id") else turned)
    assert isinstance(talk.of(ConnectingFailed)[-1].error, RemoteProtocolError)
    assert not talk.conversation.is_finding_out
    if lost:
        assert talk.failure_of(lost).__cause__ is not None
    fails[0] = False
    job = talk.conversation.submit("x", api_name="/plain")
    for _ in range(2):
        for command in talk.new():
            assert isinstance(command, SendRequest)
            assert "predict" not in command.url
            talk.answer(command, {"app_id": 8} if command.url.endswith("app_id") else turned)
    assert isinstance(talk.failure_of(job), LocalProtocolError)  # the app has it no more
