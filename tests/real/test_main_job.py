"""Predict and stream from running Gradio apps, with the blocking client.

What a version cannot do stands in ``LACKS``, with the reason.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from itertools import groupby, pairwise
from typing import Any

import pytest

from sansio_gradio.errors import AppError, GradioError, JobCancelledError, LocalProtocolError
from sansio_gradio.protocol.messages import Message
from sansio_gradio.protocol.status import Status, StatusUpdate
from sansio_gradio_adapters.sockets import Client, Job, OutputUpdate

from .server import RealServer

pytestmark = pytest.mark.real

# What is missing, until which version it is, and why.
LACKS = {
    "names": ((4, 23), "/info does not tell the names and defaults of parameters"),
    "send_hash": ((3, 6), "the server does not ask for the session"),
    "midway": ((3, 6), "a generator's error is swallowed"),
    "crowd": ((3, 6), "jobs that come at once are lost"),
    "stop": ((3, 6), "jobs run on"),
    "progress": ((3, 16), "there is no gr.Progress"),
    "log": ((3, 36), "there is no gr.Info"),
    "duration": ((4, 38), "errors and logs are sent without a duration"),
    "title": ((5, 0), "errors and logs are sent without a title"),
    "cancel": ((4, 31), "the server does not say that a job has stopped"),
}
# These take no further step in a generator whose client has left, and never end it either.
KEEP_GENERATORS = {"3.16.2", "4.44.1"}


def lacks(version: str, feature: str) -> str | None:
    """Why this version does not have it; None: it has."""
    since, reason = LACKS[feature]
    has = tuple(int(part) for part in version.split(".")[:2]) >= since
    return None if has else f"before Gradio {'.'.join(map(str, since))} {reason}"


def needs(version: str, feature: str) -> None:
    if (reason := lacks(version, feature)) is not None:
        pytest.skip(reason)


@pytest.fixture
def client(server: RealServer) -> Iterator[Client]:
    with Client(server.url, strict=True) as connected:
        yield connected


def wait_until(happened: Callable[[], bool]) -> None:
    """Generously: what is waited for takes a second on an idle machine."""
    give_up = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < give_up, "it did not happen"
        time.sleep(0.1)


def statuses_of(job: Job) -> list[StatusUpdate]:
    updates: list[object] = []
    with contextlib.suppress(GradioError):
        updates.extend(job.updates())
    return [update for update in updates if isinstance(update, StatusUpdate)]


# One result


@pytest.mark.parametrize(
    "text", ["hello", "", "häßlich 漢字 \U0001f600 \0 \u2028", "x" * 1_000_000]
)
def test_a_text_comes_back_as_it_was(client: Client, text: str) -> None:
    assert client.predict(text, api_name="/echo") == text


def test_an_endpoint_is_called_by_its_name_with_or_without_slash_or_its_number(
    client: Client,
) -> None:
    (index,) = [e.fn_index for e in client.app.endpoints.values() if e.api_name == "/echo"]
    assert client.predict("a", api_name="echo") == "a"
    assert client.predict("b", fn_index=index) == "b"


def test_arguments_by_position(client: Client) -> None:
    assert client.predict("Bob", 2, True, api_name="/greet") == "HELLO BOB BOB"


def test_arguments_by_name_and_defaults(client: Client, version: str) -> None:
    needs(version, "names")
    assert client.predict(api_name="/greet") == "hello World World"
    assert client.predict("Bob", api_name="/greet") == "hello Bob Bob"
    assert client.predict(loud=True, times=1, api_name="/greet") == "HELLO WORLD"
    assert client.predict("Bob", loud=True, api_name="/greet") == "HELLO BOB BOB"


def test_two_outputs_are_a_tuple(client: Client) -> None:
    assert client.predict(7, 2, api_name="/divide") == (3, 1)


def test_an_endpoint_beside_the_queue(client: Client) -> None:
    job = client.submit("plain", api_name="/echo_unqueued")
    assert job.result() == "plain"
    assert job.outputs() == ["plain"]


def test_state_is_kept_from_call_to_call_until_the_session_is_reset(client: Client) -> None:
    session = client.session_hash
    assert [client.predict(text, api_name="/remember") for text in "abc"] == [
        "a",
        "a, b",
        "a, b, c",
    ]
    client.reset_session()
    assert client.session_hash != session
    assert [client.predict(text, api_name="/remember") for text in "xy"] == ["x", "x, y"]


def test_clients_do_not_share_state(client: Client, server: RealServer) -> None:
    with Client(server.url) as other:
        assert client.predict("mine", api_name="/remember") == "mine"
        assert other.predict("yours", api_name="/remember") == "yours"
        assert client.predict("still", api_name="/remember") == "mine, still"


# Many outputs


def test_every_output_of_a_generator_in_order(client: Client) -> None:
    job = client.submit(200, api_name="/count")
    wanted = [f"step {step}" for step in range(200)]
    assert list(job) == wanted
    assert job.result() == wanted[-1]
    assert job.outputs() == wanted
    assert list(job) == wanted  # from the first one, again


def test_outputs_that_change_at_different_times(client: Client) -> None:
    job = client.submit(5, api_name="/both")
    assert list(job) == [(step, f"text {step // 2}") for step in range(5)]


def turns(history: Any) -> list[str]:
    """The texts of a conversation, whatever shape this version gives it."""
    found: list[str] = []
    for turn in history:
        if isinstance(turn, dict):
            content = turn["content"]
            found += [content] if isinstance(content, str) else [part["text"] for part in content]
        else:
            found += [text.removeprefix("<p>").removesuffix("</p>\n") for text in turn]
    return found


def test_a_conversation_grows_word_by_word(client: Client) -> None:
    wanted: list[list[str]] = []
    history: list[str] = []
    for number in range(2):
        words = f"You said: hi. This is turn {number}.".split(" ")
        wanted += [[*history, "hi", " ".join(words[:end])] for end in range(1, len(words) + 1)]
        history = wanted[-1]
    job = client.submit("hi", api_name="/chat")
    assert [turns(output) for output in job] == wanted
    assert turns(job.result()) == wanted[-1]


def test_lists_that_shrink(client: Client) -> None:
    outputs = list(client.submit("hi", api_name="/shrink"))
    assert [turns(output) for output in outputs] == [
        ["1", "a", "2", "b", "3", "c", "hi", "d"],
        ["1", "a"],
        ["1", "a", "5", "hi"],
    ]


def test_nested_lists_that_shrink(client: Client) -> None:
    job = client.submit("hi", api_name="/shrink_json")
    wanted = [
        {"flat": [1, 2, 3, 4], "nested": [[1, 2, 3], [4, 5, [6, 7, 8]]], "text": "hi"},
        {"flat": [1], "nested": [[1], [4, 5, [6]]], "text": "hi"},
        {"flat": [], "nested": [[]], "new": None},
    ]
    assert list(job) == wanted
    assert job.result() == wanted[-1]


def test_the_messages_of_a_job_whole_and_in_order(client: Client) -> None:
    with client.stream_messages(20, api_name="/count") as stream:
        messages = list(stream)
    kinds = [message.get("msg") for message in messages]
    assert kinds[-21:] == ["process_generating"] * 20 + ["process_completed"]
    assert {"heartbeat", "close_stream"}.isdisjoint(kinds)
    data = [message.get("output", {}).get("data") for message in messages[-21:]]
    assert data == [[f"step {step}"] for step in (*range(20), 19)]


# On the way


# What a job does between its start and its end, and whether that is well.
JOBS = {
    "/echo": (("x",), None, True),
    "/divide": ((7, 2), None, True),
    "/remember": (("x",), None, True),
    "/count": ((5,), Status.ITERATING, True),
    "/chat": (("hi",), Status.ITERATING, True),
    "/shrink_json": (("hi",), Status.ITERATING, True),
    "/progress": ((3, 2), Status.PROGRESS, True),
    "/log": (("x",), Status.LOG, True),
    "/fail": (("x",), None, False),
    "/fail_hidden": (("x",), None, False),
    "/fail_midway": (("x",), Status.ITERATING, False),
}


@pytest.mark.parametrize("call", JOBS)
def test_statuses_come_in_order(client: Client, version: str, call: str) -> None:
    for word in ("midway", "progress"):
        if call.endswith(word):
            needs(version, word)
    arguments, middle, success = JOBS[call]
    if middle is Status.LOG and lacks(version, "log"):
        middle = None
    statuses = statuses_of(job := client.submit(*arguments, api_name=call))
    codes = [status.code for status in statuses]
    asks_who = client.protocol == "ws" and not lacks(version, "send_hash")
    asks_what = client.protocol in {"ws", "sse"}
    assert [code for code, _ in groupby(codes)] == [
        *([Status.JOINING_QUEUE] if asks_who else []),
        Status.IN_QUEUE,
        *([Status.SENDING_DATA] if asks_what else []),
        Status.PROCESSING,
        *([middle] if middle else []),
        Status.FINISHED,
    ]
    assert codes.count(Status.FINISHED) == 1
    assert all(one.time <= next_one.time for one, next_one in pairwise(statuses))
    queued = statuses[codes.index(Status.IN_QUEUE)]
    assert queued.rank == 0
    assert queued.queue_size >= 1
    assert statuses[-1].success is success
    assert job.status() == statuses[-1]


def test_the_statuses_and_the_outputs_of_a_job_stand_in_one_row(client: Client) -> None:
    job = client.submit(5, api_name="/count")
    *updates, last = job.updates()
    assert last == OutputUpdate(outputs=job.result(), final=True, success=True)
    finished = updates.pop()
    assert isinstance(finished, StatusUpdate)
    assert finished.code is Status.FINISHED
    outputs = [update.outputs for update in updates if isinstance(update, OutputUpdate)]
    assert outputs == [f"step {step}" for step in range(5)]


def test_a_job_beside_the_queue_has_one_status(client: Client) -> None:
    statuses = statuses_of(client.submit("x", api_name="/echo_unqueued"))
    assert [status.code for status in statuses] == [Status.FINISHED]
    assert statuses[0].success is True


def test_nested_progress_with_its_fractions(client: Client, version: str) -> None:
    needs(version, "progress")
    statuses = statuses_of(job := client.submit(4, 3, api_name="/progress"))
    assert job.result() == "done"
    told = [status.progress_data for status in statuses if status.code is Status.PROGRESS]
    loops = {0: (4, "outer", "steps"), 1: (3, "inner", "rounds")}
    for units in told:
        for depth, unit in enumerate(units):
            assert (unit["length"], unit["desc"], unit["unit"]) == loops[depth]
            assert unit["progress"] == unit["index"] / unit["length"]
    # Servers look twenty times a second: they miss some, and may see no inner loop at either end.
    places = [tuple(unit["index"] for unit in units) for units in told if len(units) == 2]
    assert places == sorted(places)
    assert len(set(places)) > 3


def test_logs_in_the_statuses(client: Client, version: str) -> None:
    needs(version, "log")
    statuses = statuses_of(client.submit("x", api_name="/log"))
    logs = [status for status in statuses if status.code is Status.LOG]
    assert [log.log for log in logs] == [["info: x", "info"], ["warning: x", "warning"]]
    titles = [None, None] if lacks(version, "title") else ["Info", "Warning"]
    assert [log.title for log in logs] == titles
    assert [log.duration for log in logs] == [None if lacks(version, "duration") else 10] * 2


# Errors of the app


def error_of(job: Job) -> AppError:
    with pytest.raises(AppError) as caught:
        job.result()
    error = caught.value
    assert type(error) is AppError
    assert isinstance(error, ValueError)
    assert job.exception() is error
    assert error.url is not None
    assert error.job is not None
    last = statuses_of(job)[-1]
    assert (last.code, last.success) == (Status.FINISHED, False)
    return error


def test_an_error_that_the_app_tells(client: Client, version: str) -> None:
    error = error_of(client.submit('it\'s "so"', api_name="/fail"))
    assert error.message == 'refused: it\'s "so"'
    assert error.title == (None if lacks(version, "title") else "Error")
    assert error.duration == (None if lacks(version, "duration") else 10)
    assert error.visible


def test_an_error_that_the_app_keeps_to_itself(client: Client) -> None:
    error = error_of(client.submit("x", api_name="/fail_hidden"))
    assert "does not show" in error.message
    assert "secret" not in str(error)


def test_what_came_before_an_error_is_not_lost(client: Client, version: str) -> None:
    needs(version, "midway")
    job = client.submit("x", api_name="/fail_midway")
    seen: list[Any] = []
    with pytest.raises(AppError) as caught:
        seen.extend(job)
    assert seen == job.outputs() == ["first", "second"]
    assert list(caught.value.outputs) == [("first",), ("second",)]


def test_after_a_failing_last_message_the_stream_raises(client: Client) -> None:
    messages: list[Message] = []
    with client.stream_messages("x", api_name="/fail") as stream, pytest.raises(AppError):
        messages.extend(stream)
    assert messages[-1].get("msg") == "process_completed"


def test_the_client_goes_on_after_an_error(client: Client, version: str) -> None:
    needs(version, "midway")
    for name in ("/fail", "/fail_hidden", "/fail_midway"):
        with pytest.raises(AppError):
            client.predict("x", api_name=name)
    assert client.predict("x", api_name="/echo") == "x"


# Mistakes of the caller


def test_an_endpoint_that_does_not_exist(client: Client) -> None:
    with pytest.raises(LocalProtocolError, match=r"'/ecco'.*did you mean '/echo'") as caught:
        client.predict("x", api_name="/ecco")
    assert caught.value.phase == "submit"
    assert caught.value.url is not None


def test_arguments_that_do_not_fit_are_told_all_at_once(client: Client) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        client.predict("x", 1, True, 4, nonsense=1, api_name="/greet")
    for wrong in ("at most, not 4", "no parameter 'nonsense'"):
        assert wrong in caught.value.message
    assert caught.value.phase == "submit"


# Many jobs


def test_forty_jobs_at_once_and_none_is_swapped(client: Client, version: str) -> None:
    needs(version, "crowd")
    wanted: list[Any] = []
    jobs: list[Job] = []
    for number in range(10):
        jobs += [
            client.submit(number, 0.2, api_name="/double"),
            client.submit(f"shout {number}", 0.1, api_name="/shout"),
            client.submit(f"echo {number}", api_name="/echo"),
            client.submit(number + 1, api_name="/count"),
        ]
        wanted += [2 * number, f"SHOUT {number}", f"echo {number}", f"step {number}"]
    assert [job.result() for job in jobs] == wanted
    for number, job in enumerate(jobs[3::4]):
        assert job.outputs() == [f"step {step}" for step in range(number + 1)]


# Giving up


def wait_for_stop(client: Client, version: str, steps_asked: int) -> None:
    """The server has stopped working on the slow jobs, long before their end."""
    needs(version, "stop")
    before = client.predict(api_name="/slow_steps")

    def stopped() -> bool:
        nonlocal before
        earlier, before = before, client.predict(api_name="/slow_steps")
        time.sleep(0.5)  # five steps of one that still runs
        return bool(before == earlier)

    begun = before
    wait_until(stopped)
    assert before - begun < steps_asked / 2
    if version not in KEEP_GENERATORS:
        wait_until(lambda: client.predict(api_name="/slow_running") == 0)


def test_a_cancelled_job_stops_on_the_server(client: Client, version: str) -> None:
    job = client.submit(300, api_name="/slow")
    assert next(iter(job)) == "slow 0"
    assert job.running()
    assert job.cancel() is True
    assert job.cancelled()
    assert job.done()
    assert job.status().code is Status.CANCELLED
    with pytest.raises(JobCancelledError) as caught:
        job.result()
    assert next(iter(caught.value.outputs)) == ("slow 0",)
    wait_for_stop(client, version, 300)
    if not lacks(version, "cancel"):
        assert job.stopped_on_server is True
    assert client.predict("still here", api_name="/echo") == "still here"


def test_a_finished_job_is_not_cancelled(client: Client) -> None:
    job = client.submit("x", api_name="/echo")
    assert job.result() == "x"
    assert job.cancel() is False
    assert job.result() == "x"
    assert job.status().code is Status.FINISHED


def test_leaving_the_messages_of_a_job_stops_it_on_the_server(client: Client, version: str) -> None:
    with client.stream_messages(300, api_name="/slow") as stream:
        for message in stream:
            if message.get("msg") == "process_generating":
                break
    wait_for_stop(client, version, 300)
    assert list(stream) == []


def test_closing_the_client_stops_its_jobs_on_the_server(
    client: Client, server: RealServer, version: str
) -> None:
    other = Client(server.url)
    job = other.submit(300, api_name="/slow")
    assert next(iter(job)) == "slow 0"
    other.close()
    assert job.done()
    wait_for_stop(client, version, 300)


def test_a_job_is_given_up_at_its_deadline(client: Client, version: str) -> None:
    with pytest.raises(ConnectionError) as caught:
        client.predict(300, api_name="/slow", timeout=1)
    assert isinstance(caught.value, TimeoutError)
    assert isinstance(caught.value, GradioError)
    assert caught.value.phase == "job"
    wait_for_stop(client, version, 300)
