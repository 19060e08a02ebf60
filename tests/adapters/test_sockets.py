"""The blocking client, on a live server of this machine."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import itertools
import socket
import ssl
import threading
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import pytest

from sansio_gradio.errors import (
    AppError,
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    GradioError,
    LocalProtocolError,
    RemoteProtocolError,
)
from sansio_gradio.limits import Timeouts
from sansio_gradio.protocol.status import Status, StatusUpdate
from sansio_gradio.server.app import App
from sansio_gradio.testing.lively_app import Lively
from sansio_gradio.testing.patience import PATIENCE
from sansio_gradio_adapters.server import serve_in_thread
from sansio_gradio_adapters.sockets import (
    Client,
    Job,
    JobCancelledError,
    MessageStream,
    OutputUpdate,
)
from tests.adapters.test_tls import CERTIFICATES, server_context


@pytest.fixture(scope="module", params=["sse_v3", "ws"])
def served(request: pytest.FixtureRequest) -> Iterator[tuple[Lively, str]]:
    lively = Lively(protocol=request.param)
    with serve_in_thread(lively.app) as url:
        yield lively, url
        lively.go_on.set()


@pytest.fixture
def lively(served: tuple[Lively, str]) -> Lively:
    served[0].go_on.clear()
    return served[0]


@pytest.fixture
def url(served: tuple[Lively, str]) -> str:
    return served[1]


@pytest.fixture
def client(url: str, lively: Lively) -> Iterator[Client]:
    with Client(url) as client:
        yield client


def in_thread(what: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=what, daemon=True)
    thread.start()
    return thread


# Calling


def test_one_output_comes_as_it_is_and_several_as_a_tuple(client: Client) -> None:
    assert client.predict("hello", api_name="/echo") == "hello"
    assert client.predict("a", "b", api_name="pair") == ("b", "a")


def test_arguments_go_by_place_by_name_and_by_default(client: Client) -> None:
    assert client.predict(1, 2, api_name="/add") == 3
    assert client.predict(b=3, a=1, api_name="/add") == 4
    if client.app.version >= (4, 23):  # before that, servers do not tell
        assert client.predict(1, api_name="/add") == 11


def test_parameters_that_are_called_like_options_get_their_arguments() -> None:
    def slow(value: str, timeout: int = 7, isolated: str = "no") -> str:
        return f"{value} {timeout} {isolated}"

    app = App()
    app.add_function(slow)
    with serve_in_thread(app) as url, Client(url) as client:
        assert client.predict("x", 8, timeout=PATIENCE, api_name="/slow") == "x 8 no"
        assert client.predict("x", 7, "yes", api_name="/slow") == "x 7 yes"
        with pytest.raises(LocalProtocolError, match="'timeout' is an option of every call"):
            client.predict("x", timeout=120, api_name="/slow")
        with pytest.raises(LocalProtocolError, match="'isolated' is an option of every call"):
            client.submit("x", isolated=True, api_name="/slow").result()
        with pytest.raises(LocalProtocolError, match="'isolated' is an option of every call"):
            client.predict("x", isolated=True, api_name="/slow")


def test_state_is_kept_between_calls_and_not_shown(client: Client) -> None:
    assert client.predict(1, api_name="/sum") == 1
    assert client.predict(2, api_name="/sum") == 3


def test_an_endpoint_that_is_not_queued_is_called_directly(client: Client) -> None:
    assert client.predict("hello", api_name="/plain") == "hello"
    assert list(client.submit("hello", api_name="/plain")) == ["hello"]


def test_headers_go_with_one_call_only(client: Client) -> None:
    assert client.predict("x-mine", api_name="/headers", headers={"X-Mine": "1"}) == "1"
    assert client.predict("x-mine", api_name="/headers") == ""


def test_headers_of_the_client_go_with_every_call(url: str) -> None:
    with Client(url, headers={"X-Mine": "always"}) as client:
        assert client.predict("x-mine", api_name="/headers") == "always"


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ({"api_name": "/nowhere"}, "no endpoint"),
        ({"api_name": "/echo"}, "value"),
        ({"api_name": "/echo", "nonsense": 1}, "nonsense"),
        ({}, "api_name or fn_index"),
        ({"api_name": "/echo", "isolated": True, "want": 1, "extra": 2}, "'want'.*'extra'"),
    ],
)
def test_a_call_that_cannot_be_made_says_what_is_wrong(
    client: Client, call: dict[str, Any], says: str
) -> None:
    with pytest.raises(LocalProtocolError, match=says):
        client.predict(**call)


def test_a_header_that_cannot_be_sent_is_the_jobs_error(client: Client) -> None:
    with pytest.raises(LocalProtocolError, match="header"):
        client.predict("x", api_name="/echo", headers={"a b": "c"})


def test_the_apps_own_error_is_raised(client: Client) -> None:
    with pytest.raises(AppError, match="too much") as caught:
        client.predict("too much", api_name="/boom")
    assert caught.value.title == ("Boom" if client.app.version >= (5, 3) else None)
    job = client.submit("too much", api_name="/boom")
    assert isinstance(job.exception(PATIENCE), AppError)


def test_a_job_that_takes_too_long_is_given_up(client: Client, lively: Lively) -> None:
    endless = lively.new_endless()
    with pytest.raises(DeadlineExceeded) as caught:
        client.predict(endless.name, api_name="/endless", timeout=0.1)
    assert caught.value.phase == "job"
    if endless.began.is_set():  # not on a very slow machine
        endless.wait_for_end()


def test_many_jobs_run_beside_each_other(client: Client, lively: Lively) -> None:
    held = [client.submit(str(number), api_name="/held") for number in range(20)]
    assert client.predict("quick", api_name="/echo") == "quick"
    assert not any(job.done() for job in held)
    lively.go_on.set()
    assert [job.result(PATIENCE) for job in held] == [str(number) for number in range(20)]


def test_one_client_serves_many_threads(client: Client) -> None:
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        numbers = [str(number) for number in range(100)]
        assert list(pool.map(lambda n: client.predict(n, api_name="/echo"), numbers)) == numbers


def test_a_job_that_is_over_is_not_kept(client: Client) -> None:
    for _ in range(3):
        client.predict("x", api_name="/echo")
        with pytest.raises(AppError):
            client.predict("x", api_name="/boom")
        client.submit("x", api_name="/held").cancel()
    wait_for(lambda: not client._core.jobs)


# A job is a Future


def test_a_job_is_pending_until_its_end(client: Client, lively: Lively) -> None:
    job = client.submit("x", api_name="/held")
    assert isinstance(job, concurrent.futures.Future)
    updates = job.updates()
    while True:
        update = next(updates)
        if isinstance(update, StatusUpdate) and update.code is Status.PROCESSING:
            break
    assert job.running()
    assert not job.done()
    assert job.outputs() == []
    with pytest.raises(TimeoutError) as caught:
        job.result(0.01)
    assert not isinstance(caught.value, GradioError)
    with pytest.raises(TimeoutError):
        job.exception(0.01)
    lively.go_on.set()
    assert job.result(PATIENCE) == "x"
    assert job.exception() is None
    assert not job.running()
    assert job.done()
    assert job.status().code is Status.FINISHED
    assert job.stopped_on_server is None
    assert repr(job).endswith(": finished>")


def test_jobs_can_be_waited_for_together(client: Client, lively: Lively) -> None:
    quick, slow = client.submit("a", api_name="/echo"), client.submit("b", api_name="/held")
    done, pending = concurrent.futures.wait(
        [quick, slow], PATIENCE, concurrent.futures.FIRST_COMPLETED
    )
    assert (done, pending) == ({quick}, {slow})
    slow.cancel()
    done, _ = concurrent.futures.wait([slow], PATIENCE)
    assert done == {slow}
    failed = client.submit("no", api_name="/boom")
    assert list(concurrent.futures.as_completed([failed], PATIENCE)) == [failed]


def test_a_job_can_be_wrapped_for_asyncio(client: Client, lively: Lively) -> None:
    async def main() -> None:
        assert await asyncio.wrap_future(client.submit("a", api_name="/echo")) == "a"
        with pytest.raises(AppError):
            await asyncio.wrap_future(client.submit("a", api_name="/boom"))
        job = client.submit("x", api_name="/held")
        wrapped = asyncio.wrap_future(job)
        wrapped.cancel()
        await asyncio.sleep(0)
        assert job.cancelled()

    asyncio.run(main())


def test_callbacks_get_the_job_itself_and_run_when_it_is_readable(client: Client) -> None:
    told: concurrent.futures.Future[tuple[object, list[Any]]] = concurrent.futures.Future()

    def callback(job: concurrent.futures.Future[Any]) -> None:
        assert isinstance(job, Job)
        told.set_result((job, list(job)))

    job = client.submit("abc", api_name="/chat")
    job.add_done_callback(callback)
    assert told.result(PATIENCE) == (job, ["a", "ab", "abc"])


def test_a_callback_is_called_even_if_nobody_keeps_the_job(client: Client, lively: Lively) -> None:
    told: concurrent.futures.Future[Any] = concurrent.futures.Future()
    client.submit("x", api_name="/held").add_done_callback(
        lambda job: told.set_result(job.result())
    )
    gc.collect()
    lively.go_on.set()
    assert told.result(PATIENCE) == "x"


def test_a_callback_may_ask_for_more_but_not_wait(client: Client) -> None:
    told: concurrent.futures.Future[list[Any]] = concurrent.futures.Future()

    def callback(job: concurrent.futures.Future[Any]) -> None:
        assert isinstance(job, Job)
        found: list[Any] = [job.result(), job.exception(), list(job)]
        more = client.submit("more", api_name="/echo")
        waits: list[Callable[[], object]] = [
            more.result,
            more.exception,
            lambda: list(more),
            lambda: list(more.updates()),
            lambda: list(client.stream_messages("x", api_name="/echo")),
            lambda: client.predict("x", api_name="/echo"),
            lambda: client.endpoints,
            client.reset_session,
        ]
        for wait in waits:
            try:
                wait()
            except LocalProtocolError as error:
                found.append("callback" in error.message)
        found.append(more)
        told.set_result(found)

    client.submit("x", api_name="/echo").add_done_callback(callback)
    *found, more = told.result(PATIENCE)
    assert found == ["x", None, ["x"], *[True] * 8]
    assert more.result(PATIENCE) == "more"


def test_a_callback_may_close_the_client(url: str) -> None:
    client = Client(url)
    closed = threading.Event()

    def callback(_job: object) -> None:
        client.close()
        closed.set()

    client.submit("x", api_name="/echo").add_done_callback(callback)
    assert closed.wait(PATIENCE)
    client.close()


# Cancelling


def test_a_cancelled_job_is_over_at_once(client: Client, lively: Lively) -> None:
    endless = lively.new_endless()
    job = client.submit(endless.name, api_name="/endless")
    endless.wait_for_begin()
    calls: list[object] = []
    job.add_done_callback(calls.append)
    assert job.cancel()
    assert job.cancelled()
    assert job.done()
    assert calls == [job]
    assert job.status().code is Status.CANCELLED
    for ask in (job.result, job.exception):
        with pytest.raises(JobCancelledError) as caught:
            ask()
        assert isinstance(caught.value, concurrent.futures.CancelledError)
    assert job.cancel()  # as Future has it
    endless.wait_for_end()
    if client.protocol == "ws":  # where nobody answers
        client.predict("x", api_name="/chat")
        assert job.stopped_on_server is None
    else:
        wait_for(lambda: job.stopped_on_server is not None)
        assert job.stopped_on_server is True
    assert calls == [job]


def wait_for(happened: Callable[[], object]) -> None:
    for _ in range(int(PATIENCE / 0.01)):
        if happened():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it did not happen")


def test_whoever_iterates_sees_the_cancel(client: Client, lively: Lively) -> None:
    endless = lively.new_endless()
    job = client.submit(endless.name, api_name="/endless")
    outputs, updates = iter(job), job.updates()
    assert next(outputs) == 0
    in_thread(job.cancel)
    with pytest.raises(JobCancelledError):
        list(outputs)
    with pytest.raises(JobCancelledError):
        list(updates)
    endless.wait_for_end()


def test_it_is_too_late_to_cancel_a_job_that_is_over(client: Client) -> None:
    job = client.submit("x", api_name="/echo")
    assert job.result(PATIENCE) == "x"
    assert not job.cancel()
    assert job.result() == "x"
    assert not job.cancelled()


def test_a_job_can_be_cancelled_before_anything_has_happened(client: Client) -> None:
    jobs = [client.submit("x", api_name="/echo") for _ in range(50)]
    cancelled = [job.cancel() for job in jobs]
    for job, was in zip(jobs, cancelled, strict=True):
        assert job.cancelled() is was
    assert client.predict("y", api_name="/echo") == "y"


def test_of_two_who_cancel_at_once_both_are_right(client: Client) -> None:
    for _ in range(20):
        job = client.submit("x", api_name="/held")
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            first, second = pool.submit(job.cancel), pool.submit(job.cancel)
        assert first.result() or second.result()
        assert job.cancelled()


# Iterating


def test_every_output_is_seen_by_everybody(client: Client) -> None:
    job = client.submit("abc", api_name="/chat")
    assert list(job) == ["a", "ab", "abc"]
    assert list(job) == ["a", "ab", "abc"]
    assert job.outputs() == ["a", "ab", "abc"]
    early, late = iter(job), iter(job)
    assert [next(early), next(early), next(late)] == ["a", "ab", "a"]


def test_outputs_come_as_they_are_made(client: Client, lively: Lively) -> None:
    endless = lively.new_endless()
    job = client.submit(endless.name, api_name="/endless")
    assert list(itertools.islice(job, 3)) == [0, 1, 2]
    assert not job.done()
    job.cancel()
    endless.wait_for_end()


def test_the_error_comes_after_the_outputs(client: Client) -> None:
    job = client.submit("half way", api_name="/half")
    outputs = iter(job)
    assert [next(outputs), next(outputs)] == ["a", "ab"]
    with pytest.raises(AppError, match="half way"):
        next(outputs)
    error = job.exception(PATIENCE)
    assert isinstance(error, AppError)
    assert list(error.outputs) == [("a",), ("ab",)]


def test_statuses_come_in_order_and_the_result_last(client: Client) -> None:
    updates = list(client.submit(2, api_name="/work").updates())
    codes = [update.code for update in updates if isinstance(update, StatusUpdate)]
    assert codes[-6:] == [
        Status.PROCESSING,
        Status.PROGRESS,
        Status.LOG,
        Status.PROGRESS,
        Status.LOG,
        Status.FINISHED,
    ]
    progress = [u.progress_data for u in updates if isinstance(u, StatusUpdate) and u.progress_data]
    assert [units[0]["progress"] for units in progress] == [0, 0.5]
    assert updates[-1] == OutputUpdate(outputs="done", final=True, success=True)


def test_a_job_is_iterated_in_asyncio_too(client: Client, lively: Lively) -> None:
    async def main() -> None:
        job = client.submit("abc", api_name="/chat")
        assert [output async for output in job] == ["a", "ab", "abc"]
        assert [output async for output in job] == ["a", "ab", "abc"]
        last = [update async for update in client.submit("x", api_name="/echo").updates()][-1]
        assert isinstance(last, OutputUpdate)
        assert last == OutputUpdate(outputs="x", final=True, success=True)
        assert last.value == last.outputs == "x"
        with pytest.raises(AppError):
            _ = [output async for output in client.submit("x", api_name="/half")]
        held = client.submit("x", api_name="/held")
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            for _ in range(10):
                await asyncio.sleep(0)
                ticks += 1
            lively.go_on.set()

        ticking = asyncio.create_task(tick())
        assert [output async for output in held] == ["x"]
        assert ticks == 10
        await ticking

    asyncio.run(main())


def test_a_task_that_waits_can_be_cancelled_and_its_loop_closed(
    client: Client, lively: Lively
) -> None:
    job = client.submit("x", api_name="/held")

    async def wait() -> None:
        async for _ in job:
            pass

    complaints: list[object] = []

    async def main(*, until_the_end: bool) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, what: complaints.append(what))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(wait(), 0.01)
        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        task.cancel()
        if until_the_end:
            lively.go_on.set()
            await wait()

    asyncio.run(main(until_the_end=False))
    asyncio.run(main(until_the_end=True))
    assert job.result(PATIENCE) == "x"
    assert complaints == []


# Messages


def kinds(messages: Iterator[Any]) -> list[str]:
    return [message["msg"] for message in messages]


def test_every_message_of_the_job_comes_with_its_own_keys(client: Client) -> None:
    messages = list(client.stream_messages("hi", api_name="/script"))
    assert kinds(iter(messages))[-3:] == ["process_generating", "news", "process_completed"]
    news: Any = messages[-2]
    assert (news["value"], news["timestamp"]) == (7, "now")


def test_edits_are_whole_values_in_messages(client: Client) -> None:
    data = [
        message["output"]["data"]
        for message in client.stream_messages("abc", api_name="/chat")
        if "output" in message
    ]
    assert data == [["a"], ["ab"], ["abc"], ["abc"]]


def test_progress_is_a_fraction_in_messages(client: Client) -> None:
    fractions = [
        units[0]["progress"]
        for message in client.stream_messages(4, api_name="/work")
        if (units := message.get("progress_data"))
    ]
    assert fractions == [0, 0.25, 0.5, 0.75]


def test_the_failing_message_comes_before_the_error(client: Client) -> None:
    with client.stream_messages("no", api_name="/half") as messages:
        seen: list[Any] = []
        with pytest.raises(AppError, match="no"):
            seen.extend(messages)
        for message in messages:
            raise AssertionError(f"{message} after the error")


def test_the_last_message_before_an_error_says_so(client: Client) -> None:
    messages = client.stream_messages("no", api_name="/boom")
    for message in messages:
        if message.get("success") is False:
            break
    with pytest.raises(AppError):
        next(messages)
    assert list(messages) == []


def until_it_yields(messages: MessageStream) -> None:
    for message in messages:
        if message.get("msg") == "process_generating":
            return
    raise AssertionError("it never did")


def leave_by_break(client: Client, name: str) -> None:
    with client.stream_messages(name, api_name="/endless") as messages:
        for message in messages:
            if message.get("msg") == "process_generating":
                break


def leave_by_closing(client: Client, name: str) -> None:
    messages = client.stream_messages(name, api_name="/endless")
    until_it_yields(messages)
    messages.close()
    messages.close()
    assert list(messages) == []


def leave_by_forgetting(client: Client, name: str) -> None:
    for message in client.stream_messages(name, api_name="/endless"):
        if message.get("msg") == "process_generating":
            break
    gc.collect()


def leave_by_error(client: Client, name: str) -> None:
    def trip(messages: MessageStream) -> None:
        with messages:
            until_it_yields(messages)
            raise KeyError("something else")

    messages = client.stream_messages(name, api_name="/endless")
    with pytest.raises(KeyError):
        trip(messages)


def leave_in_another_thread(client: Client, name: str) -> None:
    messages = client.stream_messages(name, api_name="/endless")
    until_it_yields(messages)
    in_thread(messages.close)
    assert all(message.get("msg") != "process_completed" for message in messages)


@pytest.mark.parametrize(
    "leave",
    [
        leave_by_break,
        leave_by_closing,
        leave_by_forgetting,
        leave_by_error,
        leave_in_another_thread,
    ],
)
def test_leaving_early_ends_the_job_on_the_server(
    client: Client, lively: Lively, leave: Callable[[Client, str], None]
) -> None:
    endless = lively.new_endless()
    leave(client, endless.name)
    endless.wait_for_end()
    assert client.predict("still here", api_name="/echo") == "still here"


def test_messages_that_were_not_read_in_time_are_counted(client: Client) -> None:
    messages = client.stream_messages("abc", api_name="/chat")
    assert len(list(messages)) > 4
    assert messages.skipped == 0


# What the app says of itself


def test_what_is_known_of_the_app(client: Client, lively: Lively, url: str) -> None:
    assert client.protocol == lively.app.protocol
    assert client.config["version"] == lively.app.version_text
    assert client.app.version == lively.app.version
    assert len(client.session_hash) > 8
    assert repr(client) == f"<Client of {url}>"


def test_info_is_fetched_when_it_is_needed_and_once(url: str) -> None:
    asked: list[bytes] = []

    def observe(now: float, conn: int | None, direction: str, what: Any) -> None:
        if direction == "sent" and b"/info" in what:
            asked.append(what)

    with Client(url, observe=observe) as client:
        assert client.predict("x", api_name="/echo") == "x"
        assert asked == []
        names = [endpoint.api_name for endpoint in client.endpoints.values()]
        assert "/echo" in names
        assert client.endpoints is client.app.endpoints
        assert "echo" in client.view_api()
        assert "/echo" in client.view_api(return_format="dict")["named_endpoints"]
        assert len(asked) == 1


def test_a_new_session_has_a_new_name_and_state(client: Client) -> None:
    client.predict(1, api_name="/sum")
    name = client.session_hash
    client.reset_session()
    assert client.session_hash != name
    assert client.predict(2, api_name="/sum") == 2


def test_a_session_goes_on_under_its_name(url: str) -> None:
    with Client(url, session_hash="mine") as client:
        assert client.session_hash == "mine"
        client.predict(1, api_name="/sum")
    with Client(url, session_hash="mine") as client:
        assert client.predict(2, api_name="/sum") == 3


# Connecting


def refused(*args: Any, **options: Any) -> GradioError:
    before = threading.active_count()
    with pytest.raises(GradioError) as caught:
        Client(*args, **options)
    wait_for(lambda: threading.active_count() <= before)
    return caught.value


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


def test_who_refuses_the_connection_is_named() -> None:
    port = free_port()
    error = refused(f"http://127.0.0.1:{port}")
    assert isinstance(error, ConnectFailed)
    assert error.phase == "connect"
    assert error.url == f"http://127.0.0.1:{port}/config"
    assert "Connection refused" in str(error)


def test_a_name_that_does_not_exist_is_named() -> None:
    error = refused("http://nowhere.invalid")
    assert isinstance(error, ConnectFailed)
    assert "nowhere.invalid" in error.message


@pytest.mark.parametrize("src", ["", "nonsense", "127.0.0.1:7860", "ftp://x/", "a/b/c"])
def test_what_is_no_address_is_refused_at_once(src: str) -> None:
    with pytest.raises(LocalProtocolError):
        Client(src)


def test_a_space_is_asked_for_at_the_hub() -> None:
    asked: list[str] = []

    class FarEnough(BaseException):
        pass

    def observe(now: float, conn: int | None, direction: str, what: Any) -> None:
        if direction == "command":
            asked.append(getattr(what, "host", ""))
            raise FarEnough

    with pytest.raises(FarEnough):
        Client("Owner/My_Space", observe=observe)
    assert asked == ["huggingface.co"]


@contextmanager
def answering(answer: bytes) -> Generator[str]:
    """Something on a port that says the same to everybody; says nothing if that is nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    sock, _ = listener.accept()
                except OSError:
                    return
                with sock:
                    sock.recv(65536)
                    if answer:
                        sock.sendall(answer)
                    else:
                        sock.recv(65536)

        thread = in_thread(serve)
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(PATIENCE)


def test_html_is_no_app() -> None:
    page = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n<ht>"
    with answering(page) as where:
        error = refused(f"http://{where}")
    assert isinstance(error, RemoteProtocolError)
    assert error.phase == "config"


def test_silence_is_not_waited_for_without_end() -> None:
    with answering(b"") as where:
        error = refused(f"http://{where}", timeouts=Timeouts(request=0.1))
    assert isinstance(error, DeadlineExceeded)


def test_a_server_without_tls_is_told_so() -> None:
    with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as where:
        error = refused(f"https://{where}")
    assert isinstance(error, ConnectFailed)
    assert error.phase == "tls"
    assert "does not speak TLS" in error.message


# TLS


@contextmanager
def tls_in_front_of(port: int, context: ssl.SSLContext) -> Generator[int]:
    """A port where TLS is taken off."""
    threads: list[threading.Thread] = []

    def pump(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def connect(sock: socket.socket) -> None:
        with (
            sock,
            suppress(OSError),
            context.wrap_socket(sock, server_side=True) as outside,
            socket.create_connection(("127.0.0.1", port)) as inside,
        ):
            back = in_thread(lambda: pump(inside, outside))
            pump(outside, inside)
            back.join(PATIENCE)

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    sock, _ = listener.accept()
                    threads.append(in_thread(partial(connect, sock)))

        threads.append(in_thread(serve))
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(PATIENCE)


def test_everything_goes_through_tls(url: str, lively: Lively) -> None:
    trusting = ssl.create_default_context(cafile=CERTIFICATES / "authority.pem")
    port = int(url.rstrip("/").rpartition(":")[2])
    with (
        tls_in_front_of(port, server_context()) as front,
        Client(f"https://localhost:{front}", ssl_context=trusting) as client,
    ):
        assert client.predict("secret", api_name="/echo") == "secret"
        assert list(client.submit("abc", api_name="/chat")) == ["a", "ab", "abc"]
        big = "x" * 3_000_000
        assert client.predict(big, api_name="/echo") == big


def test_a_certificate_that_nobody_vouches_for_is_refused(url: str) -> None:
    port = int(url.rstrip("/").rpartition(":")[2])
    with tls_in_front_of(port, server_context()) as front:
        error = refused(f"https://localhost:{front}")
    assert isinstance(error, ConnectFailed)
    assert "not trusted" in error.message


# The end


def test_closing_cancels_what_is_under_way(url: str, lively: Lively) -> None:
    client = Client(url)
    one, two = lively.new_endless(), lively.new_endless()
    running = client.submit(one.name, api_name="/endless")
    held = client.submit("x", api_name="/held")
    messages = client.stream_messages(two.name, api_name="/endless")
    one.wait_for_begin()
    two.wait_for_begin()
    client.close()
    client.close()
    assert running.cancelled()
    assert held.cancelled()
    with pytest.raises(JobCancelledError):
        running.result()
    with pytest.raises(JobCancelledError):
        list(running)
    list(messages)
    assert running.cancel()
    one.wait_for_end()
    two.wait_for_end()


def test_a_closed_client_says_so(url: str) -> None:
    with Client(url) as client:
        pass
    asks: list[Callable[[], object]] = [
        lambda: client.predict("x", api_name="/echo"),
        lambda: client.submit("x", api_name="/echo"),
        lambda: client.stream_messages("x", api_name="/echo"),
        lambda: client.endpoints,
        client.view_api,
        client.reset_session,
    ]
    for ask in asks:
        with pytest.raises(LocalProtocolError, match="closed"):
            ask()
    assert client.config


def test_no_thread_and_no_descriptor_is_left(url: str) -> None:
    def open_files() -> int:
        import os

        return len(os.listdir("/dev/fd"))

    gc.collect()
    threads, files = threading.active_count(), open_files()
    for _ in range(3):
        with Client(url) as client:
            client.predict("x", api_name="/echo")
            list(client.submit("abc", api_name="/chat"))
    # The server's, too: its files, and the threads of functions that are on their way out.
    wait_for(lambda: threading.active_count() <= threads)
    wait_for(lambda: open_files() <= files)


def test_a_client_that_nobody_closed_says_so_and_closes(url: str, lively: Lively) -> None:
    before = threading.active_count()
    endless = lively.new_endless()
    clients = [Client(url)]
    clients[0].submit(endless.name, api_name="/endless")
    endless.wait_for_begin()
    with pytest.warns(ResourceWarning, match="was not closed"):
        forget(clients)
    endless.wait_for_end()
    wait_for(lambda: threading.active_count() <= before)


def forget(things: list[Any]) -> None:
    things.clear()
    gc.collect()


@pytest.mark.parametrize("kind", ["stream", "map"])
def test_what_is_collected_ends(client: Client, lively: Lively, kind: str) -> None:
    endless = lively.new_endless()
    if kind == "stream":
        held: list[Any] = [client.stream_messages(endless.name, api_name="/endless")]
    else:
        names = [endless.name, "nobody"]
        held = [client.map(names, "/endless", ordered=False, on_error="return")]
        assert isinstance(next(held[0]), AppError)
    endless.wait_for_begin()
    held.clear()
    endless.wait_for_end()


def test_a_job_keeps_its_client(url: str, lively: Lively) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        jobs = [Client(url).submit("x", api_name="/held")]
        gc.collect()
        lively.go_on.set()
        assert jobs[0].result(PATIENCE) == "x"
    with pytest.warns(ResourceWarning):
        forget(jobs)


def test_a_server_that_goes_away_ends_the_jobs_and_not_the_client() -> None:
    lively = Lively()
    with serve_in_thread(lively.app, grace=0.1) as url:
        client = Client(url)
        job = client.submit(lively.new_endless().name, api_name="/endless")
        outputs = iter(job)
        assert next(outputs) == 0
    error = job.exception(PATIENCE)
    assert isinstance(error, ConnectionLost | AppError)
    assert error.outputs[0] == (0,)
    with pytest.raises(ConnectionError):
        client.predict("x", api_name="/echo")
    client.close()


def test_a_fault_of_the_machine_itself_ends_every_job(url: str, lively: Lively) -> None:
    broken = threading.Event()

    class Broken(BaseException):
        pass

    def observe(now: float, conn: int | None, direction: str, what: Any) -> None:
        if broken.is_set():
            raise Broken

    with Client(url, observe=observe) as client:
        held = client.submit("x", api_name="/held")
        wait_for(held.running)
        broken.set()
        with pytest.raises(Broken):
            client.predict("x", api_name="/echo")
        assert isinstance(held.exception(PATIENCE), Broken)
        with pytest.raises(Broken):
            client.submit("x", api_name="/echo").result(PATIENCE)
