"""``AdapterContract``: does a client of a further world do what the others do?"""

from __future__ import annotations

import contextlib
import functools
import gc
import inspect
import os
import socket
import struct
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, ClassVar, Final, NoReturn, Self

import attrs
import pytest

from sansio_gradio.errors import (
    AppError,
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    GradioError,
    JobCancelledError,
)
from sansio_gradio.limits import Limits, Timeouts
from sansio_gradio.protocol.status import Status, StatusUpdate
from sansio_gradio.testing.duties import watching
from sansio_gradio.testing.lively_app import Endless, Lively
from sansio_gradio.testing.patience import PATIENCE
from sansio_gradio.testing.worlds import Threads, World, wait_for
from sansio_gradio_adapters._jobs import OutputUpdate
from sansio_gradio_adapters.server import serve_in_thread

__all__ = ["AdapterContract", "Place", "free_port", "keep", "open_files", "refused", "scenario"]

EVENT_STREAMS: Final = (4,)
"""The version that brought them."""


@attrs.define
class Place:
    """A world, and a server at an address in it."""

    world: Any  # a World
    lively: Lively
    url: str
    timeouts: Timeouts = attrs.field(factory=Timeouts)

    def client(self, **options: Any) -> Any:
        return self.world.client(self.url, **{"timeouts": self.timeouts, **options})

    async def until(self, happened: Callable[[], object]) -> None:
        await wait_for(self.world, happened, PATIENCE)

    async def ends(self, endless: Endless) -> None:
        await self.world.blocking(endless.wait_for_end)


def scenario(play: Callable[..., Coroutine[Any, Any, None]]) -> Any:
    """Make a test of an async method that takes a ``Place``, and perhaps fixtures."""

    def test(self: AdapterContract, version: str, **fixtures: Any) -> None:
        self.play(partial(play, self, **fixtures), version)

    _, _, *others = inspect.signature(play).parameters.values()
    named = [
        inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        for name in ("self", "version")
    ]
    for_pytest: Any = functools.wraps(play)(test)
    for_pytest.__signature__ = inspect.Signature([*named, *others])
    return for_pytest


async def keep(items: AsyncIterator[Any], seen: list[Any]) -> None:
    """Put into *seen* what comes, up to the end or the error."""
    async for item in items:
        seen.append(item)


def open_files() -> int:
    """How many descriptors this process has; 0: that cannot be known (Windows)."""
    return len(os.listdir("/dev/fd")) if os.path.isdir("/dev/fd") else 0


async def refused(world: World, src: str, **options: Any) -> GradioError:
    before = world.tasks()
    with pytest.raises(GradioError) as caught:
        async with world.client(src, **options):
            raise AssertionError
    await wait_for(world, lambda: world.tasks() <= before)
    return caught.value


async def a_round(place: Place) -> int:
    """Do something of everything; how many tasks there are after it."""
    endless = place.lively.new_endless()
    async with place.client() as client:
        await client.predict("x", api_name="/echo")
        client.submit(endless.name, api_name="/endless")
        assert await client.submit("abc", api_name="/chat") == "abc"
    tasks: int = place.world.tasks()
    await place.ends(endless)
    return tasks


async def all_ended(place: Place, endless: list[Endless]) -> None:
    for one in endless:
        if one.began.is_set():
            await place.until(one.ended.is_set)


async def everything(place: Place, begun: list[Endless]) -> None:
    """A client's whole life."""

    def endless() -> str:
        begun.append(place.lively.new_endless())
        return begun[-1].name

    async with place.client() as client:
        assert await client.predict("x", api_name="/echo") == "x"
        await client.get_endpoints()
        job = client.submit("ab", api_name="/chat")
        assert [output async for output in job] == ["a", "ab"]
        assert await job == "ab"
        async with client.stream_messages(endless(), api_name="/endless") as messages:
            await anext(messages)
        async with client.stream_messages(api_name="/chat") as messages:
            await client.send_data({"data": ["ab"]}, {}, client.protocol, {})
            await anext(messages)
        await client.reset_session()
        client.submit(endless(), api_name="/endless")
        outputs = aiter(client.submit(endless(), api_name="/endless"))
        await anext(outputs)


async def predict(client: Any, name: str) -> None:
    await client.predict(name, api_name="/endless")


async def wait_for_a_result(client: Any, name: str) -> None:
    await client.submit(name, api_name="/endless")


async def wait_for_an_error(client: Any, name: str) -> None:
    await client.submit(name, api_name="/endless").exception()


async def read_messages(client: Any, name: str) -> None:
    async for _ in client.stream_messages(name, api_name="/endless"):
        pass


CALLS = [predict, wait_for_a_result, wait_for_an_error, read_messages]


async def until_it_yields(messages: Any) -> None:
    async for message in messages:
        if message.get("msg") == "process_generating":
            return
    raise AssertionError("it never did")


async def leave_by_break(client: Any, name: str) -> None:
    async with client.stream_messages(name, api_name="/endless") as messages:
        await until_it_yields(messages)


async def leave_by_closing(client: Any, name: str) -> None:
    messages = client.stream_messages(name, api_name="/endless")
    await until_it_yields(messages)
    messages.close()
    messages.close()
    assert [message async for message in messages] == []


async def leave_by_forgetting(client: Any, name: str) -> None:
    await until_it_yields(client.stream_messages(name, api_name="/endless"))
    gc.collect()


async def leave_by_error(client: Any, name: str) -> None:
    async def leave() -> None:
        async with client.stream_messages(name, api_name="/endless") as messages:
            await until_it_yields(messages)
            raise KeyError("something else")

    with pytest.raises(KeyError):
        await leave()


class AdapterContract:
    """Tests for a world of your own: derive a class and override ``world``.

    Each test starts an app on loopback, runs a scenario in your world, and watches what your world
    tells the engine and takes from it. A failure names the duties that your world has neglected.
    """

    versions: ClassVar[Sequence[str]] = ("6.31.0", "3.50.2")
    """The releases of Gradio that the app poses as: of one with event streams, and one with
    WebSockets."""
    patience: float = 120.0
    """Seconds after which a scenario that has not ended counts as stuck."""
    timeouts: Timeouts = Timeouts(connect=20.0, request=20.0)
    """Those of the clients."""
    many: ClassVar[int] = 500
    """How many calls wait at once in the test of that."""
    in_main_thread: ClassVar[bool] = False
    """Whether your loop runs in the main thread only. Then a scenario that is stuck stays so."""

    def world(self) -> World:
        """Your world."""
        raise NotImplementedError("override world: it has to return your World")

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run each scenario on each of ``versions``."""
        if "version" in metafunc.fixturenames:
            metafunc.parametrize("version", self.versions)

    def play(self, scenario: Callable[[Place], Coroutine[Any, Any, None]], version: str) -> None:
        """Run a scenario, on a server of its own, and watch it."""
        world, lively = self.world(), Lively(version=version)
        with serve_in_thread(lively.app, grace=0.5) as url, watching() as mistakes:
            place = Place(world, lively, url, self.timeouts)
            try:
                self._run(lambda: world.run(partial(scenario, place)))
            except (pytest.skip.Exception, KeyboardInterrupt):
                raise
            except BaseException as error:
                if found := mistakes():
                    _fail(found, error)
                raise
            finally:
                lively.go_on.set()
            if found := mistakes():
                _fail(found, None)

    def _run(self, run: Callable[[], None]) -> None:
        if self.in_main_thread:
            run()
            return
        errors: list[BaseException] = []

        def keep_error() -> None:
            try:
                run()
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=keep_error, name="world under test", daemon=True)
        thread.start()
        thread.join(self.patience)
        if thread.is_alive():
            raise AssertionError(f"The scenario is stuck: no end after {self.patience:g} s.")
        if errors:
            raise errors[0]

    # Calls, and what they give

    @scenario
    async def test_values_come_as_they_are(self, place: Place) -> None:
        async with place.client() as client:
            assert await client.predict("hello", api_name="/echo") == "hello"
            assert await client.predict("a", "b", api_name="pair") == ("b", "a")
            assert await client.predict(b=3, a=1, api_name="/add") == 4
            assert await client.predict("plain", api_name="/plain") == "plain"
            assert (
                await client.predict("x-mine", api_name="/headers", headers={"X-Mine": "1"}) == "1"
            )
            assert await client.submit("hello", api_name="/echo") == "hello"

    @scenario
    async def test_the_apps_own_error_is_raised(self, place: Place) -> None:
        async with place.client() as client:
            with pytest.raises(AppError, match="too much"):
                await client.predict("too much", api_name="/boom")
            job = client.submit("too much", api_name="/boom")
            assert isinstance(await job.exception(PATIENCE), AppError)
            assert job.done()
            with pytest.raises(AppError, match="too much"):
                await job
            assert await client.predict("still here", api_name="/echo") == "still here"

    @scenario
    async def test_state_is_kept_until_the_session_is_reset(self, place: Place) -> None:
        async with place.client() as client:
            assert await client.predict(1, api_name="/sum") == 1
            assert await client.predict(2, api_name="/sum") == 3
            before = client.session_hash
            await client.reset_session()
            assert client.session_hash != before
            assert await client.predict(2, api_name="/sum") == 2

    @scenario
    async def test_many_jobs_at_once(self, place: Place) -> None:
        async with place.client() as client:
            numbers = [str(number) for number in range(60)]
            jobs = [client.submit(number, api_name="/echo") for number in numbers]
            assert [await job for job in jobs] == numbers
            predicts = [partial(client.predict, number, api_name="/echo") for number in numbers]
            assert await place.world.together(*predicts) == numbers

    @scenario
    async def test_a_large_value_goes_both_ways(self, place: Place) -> None:
        async with place.client() as client:
            big = "x" * 5_000_000
            small = client.submit("small", api_name="/echo")
            assert await client.predict(big, api_name="/echo") == big
            assert await small == "small"

    @scenario
    async def test_every_output_is_seen_by_everybody(self, place: Place) -> None:
        async with place.client() as client:
            job = client.submit("abc", api_name="/chat")
            early, late = aiter(job), aiter(job)
            assert await anext(early) == "a"
            assert [output async for output in early] == ["ab", "abc"]
            assert await job == "abc"
            assert [output async for output in late] == ["a", "ab", "abc"]
            assert job.outputs() == ["a", "ab", "abc"]
            assert [output async for output in client.submit("x", api_name="/echo")] == ["x"]

    @scenario
    async def test_many_outputs_keep_their_order(self, place: Place) -> None:
        async with place.client() as client:
            text = "0123456789" * 30
            outputs = [output async for output in client.submit(text, api_name="/chat")]
            assert outputs == [text[: end + 1] for end in range(len(text))]

    @scenario
    async def test_outputs_come_as_they_are_made(self, place: Place) -> None:
        endless = place.lively.new_endless()
        async with place.client() as client:
            job = client.submit(endless.name, api_name="/endless")
            outputs = aiter(job)
            assert [await anext(outputs) for _ in range(3)] == [0, 1, 2]
            assert not job.done()
            assert job.running()
            job.cancel()
        await place.ends(endless)

    @scenario
    async def test_the_error_comes_after_the_outputs(self, place: Place) -> None:
        async with place.client() as client:
            job = client.submit("half way", api_name="/half")
            seen: list[Any] = []
            with pytest.raises(AppError, match="half way"):
                await keep(job, seen)
            assert seen == ["a", "ab"]
            error = await job.exception()
            assert list(error.outputs) == [("a",), ("ab",)]

    @scenario
    async def test_updates_come_in_order_and_the_result_last(self, place: Place) -> None:
        async with place.client() as client:
            job = client.submit(2, api_name="/work")
            updates = [update async for update in job.updates()]
            codes = [update.code for update in updates if isinstance(update, StatusUpdate)]
            work = [Status.PROGRESS, Status.LOG] * 2
            assert codes[-6:] == [Status.PROCESSING, *work, Status.FINISHED]
            assert updates[-1] == OutputUpdate(outputs="done", final=True, success=True)
            assert job.status().code is Status.FINISHED
            assert repr(job).endswith(": finished>")
            seen: list[Any] = []
            with pytest.raises(AppError):
                await keep(client.submit("no", api_name="/half").updates(), seen)
            assert seen[-1] == OutputUpdate(outputs="ab", final=True, success=False)

    @scenario
    async def test_a_cancelled_job_is_over_at_once(self, place: Place) -> None:
        endless = place.lively.new_endless()
        async with place.client() as client:
            job = client.submit(endless.name, api_name="/endless")
            await place.world.blocking(endless.wait_for_begin)
            assert not job.done()
            assert job.cancel()
            assert job.done()
            assert job.cancelled()
            assert not job.running()
            assert job.status().code is Status.CANCELLED
            for ask in (job.result, job.exception):
                with pytest.raises(JobCancelledError):
                    await ask()
            with pytest.raises(JobCancelledError):
                _ = [update async for update in job.updates()]
            await place.ends(endless)
            if place.lively.app.version < EVENT_STREAMS:  # where nobody answers
                await client.predict("x", api_name="/chat")
                assert job.stopped_on_server is None
            else:
                await place.until(lambda: job.stopped_on_server is not None)
                assert job.stopped_on_server is True

    @scenario
    async def test_whoever_waits_sees_the_cancel(self, place: Place) -> None:
        endless = place.lively.new_endless()
        async with place.client() as client:
            job = client.submit(endless.name, api_name="/endless")
            outputs = aiter(job)
            assert await anext(outputs) == 0

            async def iterate() -> None:
                with pytest.raises(JobCancelledError):
                    async for _ in outputs:
                        pass

            async def wait() -> None:
                with pytest.raises(JobCancelledError):
                    await job

            async def cancel() -> None:
                await place.world.sleep(0.02)
                job.cancel()

            await place.world.together(iterate, wait, cancel)
            await place.ends(endless)

    @scenario
    async def test_a_job_that_is_over_cannot_be_cancelled(self, place: Place) -> None:
        async with place.client() as client:
            job = client.submit("x", api_name="/echo")
            assert await job.result(PATIENCE) == "x"
            assert not job.cancel()
            assert not job.cancelled()
            assert await job == "x"
            early = client.submit("x", api_name="/echo")
            assert early.cancel()
            with pytest.raises(JobCancelledError):
                await early

    @scenario
    async def test_a_wait_that_runs_out_leaves_the_job_alone(self, place: Place) -> None:
        async with place.client() as client:
            job = client.submit("x", api_name="/held")
            for ask in (job.result, job.exception):
                with pytest.raises(TimeoutError) as caught:
                    await ask(0.02)
                assert not isinstance(caught.value, GradioError)
                assert str(caught.value).startswith(
                    "The job is not over after 0.02 s (its status: "
                )
                assert "cancel()" in str(caught.value)
            assert not job.done()
            place.lively.go_on.set()
            assert await job.result(PATIENCE) == "x"
            assert await job.exception() is None

    @scenario
    async def test_a_job_that_takes_too_long_is_given_up(self, place: Place) -> None:
        endless = place.lively.new_endless()
        async with place.client() as client:
            with pytest.raises(DeadlineExceeded) as caught:
                await client.predict(endless.name, api_name="/endless", timeout=0.3)
            assert caught.value.phase == "job"
            if endless.began.is_set():  # not on a very slow machine
                await place.ends(endless)
            assert await client.predict("still here", api_name="/echo") == "still here"

    @scenario
    async def test_a_refused_connection_says_who_refused_it(self, place: Place) -> None:
        port = free_port()
        for host in ("127.0.0.1", "localhost"):  # of which the latter may have two addresses
            error = await refused(place.world, f"http://{host}:{port}")
            assert isinstance(error, ConnectFailed)
            assert error.phase == "connect"
            assert f"{host}, port {port}: " in str(error)
            assert "Connection refused" in str(error) or "Connect call failed" in str(error)
            assert isinstance(error.__cause__, OSError)

    @scenario
    async def test_a_name_that_does_not_exist_is_named(self, place: Place) -> None:
        error = await refused(place.world, "http://nowhere.invalid")
        assert isinstance(error, ConnectFailed)
        assert "No address was found for nowhere.invalid: " in error.message

    @scenario
    async def test_closing_cancels_what_is_under_way(self, place: Place) -> None:
        one, two = place.lively.new_endless(), place.lively.new_endless()
        async with place.client() as client:
            running = client.submit(one.name, api_name="/endless")
            held = client.submit("x", api_name="/held")
            messages = client.stream_messages(two.name, api_name="/endless")
            await place.world.blocking(one.wait_for_begin)
            await place.world.blocking(two.wait_for_begin)
            await client.close()
            await client.close()
            assert running.cancelled()
            assert held.cancelled()
        for job in (running, held):
            with pytest.raises(JobCancelledError):
                await job
        async for message in messages:
            assert message["msg"] != "process_completed"
        await place.ends(one)
        await place.ends(two)

    @scenario
    async def test_nothing_is_left(self, place: Place) -> None:
        await a_round(
            place
        )  # what the world itself keeps, such as threads to wait in, is there then
        before = place.world.tasks()
        threads, files = threading.active_count(), open_files()
        after = await a_round(place)
        if not isinstance(place.world, Threads):  # where the server's threads are counted, too
            assert after <= before
        await place.until(lambda: threading.active_count() <= threads)
        await place.until(lambda: open_files() <= files)  # the server's ends, too

    @scenario
    async def test_a_server_that_goes_away_ends_the_jobs_and_not_the_client(
        self, place: Place
    ) -> None:
        lively = Lively(version=place.lively.app.version_text)
        server = serve_in_thread(lively.app, grace=0.1)
        url = server.__enter__()
        async with place.world.client(url, timeouts=place.timeouts) as client:
            job = client.submit(lively.new_endless().name, api_name="/endless")
            assert await anext(aiter(job)) == 0
            await place.world.blocking(lambda: server.__exit__(None, None, None))
            error = await job.exception(PATIENCE)
            assert isinstance(error, ConnectionLost | AppError)
            assert error.outputs[0] == (0,)
            with pytest.raises(ConnectionError):
                await client.predict("x", api_name="/echo")

    @scenario
    async def test_a_server_that_reads_nothing_does_not_hold_up_the_end(self, place: Place) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            headers = {f"x-{number}": "y" * 10_000 for number in range(1000)}
            timeouts = Timeouts(request=0.2)
            error = await refused(place.world, url, headers=headers, timeouts=timeouts)
            assert isinstance(error, DeadlineExceeded)

    @scenario
    async def test_a_client_can_be_cancelled_wherever_it_waits(self, place: Place) -> None:
        begun: list[Endless] = []
        await everything(place, begun)
        await all_ended(place, begun)
        tasks, files = place.world.tasks(), open_files()
        at, was_cut = 0, True
        while was_cut:
            at += 1
            begun.clear()
            was_cut = await place.world.cut(partial(everything, place, begun), at)
            await place.until(lambda: place.world.tasks() <= tasks)
            await all_ended(place, begun)
        assert at > 10
        gc.collect()
        await place.until(lambda: open_files() <= files)

    @pytest.mark.parametrize("call", CALLS)
    @scenario
    async def test_a_deadline_around_a_call_gives_it_up(self, place: Place, call: Any) -> None:
        async with place.client() as client:
            endless = place.lively.new_endless()
            assert await place.world.within(0.2, partial(call, client, endless.name))
            await all_ended(place, [endless])
            assert await client.predict("still here", api_name="/echo") == "still here"

    @pytest.mark.parametrize(("call", "at"), [*((call, 1) for call in CALLS), (read_messages, 5)])
    @scenario
    async def test_a_call_that_is_cancelled_takes_no_other_along(
        self, place: Place, call: Any, at: int
    ) -> None:
        async with place.client() as client:
            endless = place.lively.new_endless()
            other = client.submit("x", api_name="/held")
            assert await place.world.cut(partial(call, client, endless.name), at)
            await all_ended(place, [endless])
            assert not other.done()
            place.lively.go_on.set()
            assert await other == "x"

    @scenario
    async def test_who_only_reads_along_gives_nothing_up(self, place: Place) -> None:
        async with place.client() as client:
            job = client.submit("x", api_name="/held")

            async def read() -> None:
                async for _ in job:
                    pass

            async def read_updates() -> None:
                async for _ in job.updates():
                    pass

            async def wait_a_little() -> None:
                await job.result(60)

            for call in (read, read_updates):
                assert await place.world.within(0.05, call)
                assert not job.done()
            assert await place.world.within(0.05, wait_a_little)
            assert job.cancelled()

    @scenario
    async def test_a_body_that_is_cancelled_still_tells_the_server(self, place: Place) -> None:
        endless = place.lively.new_endless()
        jobs: list[Any] = []

        async def live() -> None:
            async with place.client() as client:
                jobs.append(client.submit(endless.name, api_name="/endless"))
                await place.until(endless.began.is_set)
                await place.world.sleep(60)

        assert await place.world.within(0.5, live)
        assert jobs[0].cancelled()
        with pytest.raises(JobCancelledError):
            await jobs[0]
        await all_ended(place, [endless])

    @scenario
    async def test_a_goodbye_that_is_cancelled_is_short(self, place: Place) -> None:
        tasks = place.world.tasks()
        at, was_cut = 0, True
        while was_cut:
            at += 1
            endless = place.lively.new_endless()
            async with place.client() as client:
                job = client.submit(endless.name, api_name="/endless")
                # A server never hears that a client has gone which had not opened its stream.
                await place.until(job.outputs)
                was_cut = await place.world.cut(client.close, at)
            await all_ended(place, [endless])
            await place.until(lambda: place.world.tasks() <= tasks)

    @scenario
    async def test_a_stream_whose_reader_was_cancelled_is_over(self, place: Place) -> None:
        endless = place.lively.new_endless()
        async with place.client() as client:
            messages = client.stream_messages(endless.name, api_name="/endless")

            async def read() -> None:
                async for _ in messages:
                    pass

            assert await place.world.within(0.1, read)
            await all_ended(place, [endless])
            assert [message async for message in messages] == []

    @scenario
    async def test_messages_are_whole_and_in_order(self, place: Place) -> None:
        async with place.client() as client:
            async with client.stream_messages("abc", api_name="/chat") as messages:
                seen = [message async for message in messages]
            data = [message["output"]["data"] for message in seen if "output" in message]
            assert data == [["a"], ["ab"], ["abc"], ["abc"]]
            assert seen[-1]["msg"] == "process_completed"
            assert [message async for message in messages] == []
            assert messages.skipped == 0

    @scenario
    async def test_the_failing_message_comes_before_the_error(self, place: Place) -> None:
        async with (
            place.client() as client,
            client.stream_messages("no", api_name="/half") as messages,
        ):
            seen: list[Any] = []
            with pytest.raises(AppError, match="no"):
                await keep(messages, seen)
            assert seen[-1]["success"] is False
            assert [message async for message in messages] == []

    @pytest.mark.parametrize(
        "leave", [leave_by_break, leave_by_closing, leave_by_forgetting, leave_by_error]
    )
    @scenario
    async def test_leaving_early_ends_the_job(self, place: Place, leave: Any) -> None:
        endless = place.lively.new_endless()
        async with place.client() as client:
            await leave(client, endless.name)
            await place.ends(endless)
            assert await client.predict("still here", api_name="/echo") == "still here"

    @scenario
    async def test_who_reads_messages_is_told_that_another_closes(self, place: Place) -> None:
        endless = place.lively.new_endless()
        async with place.client() as client:
            messages = client.stream_messages(endless.name, api_name="/endless")
            await until_it_yields(messages)

            async def read() -> list[Any]:
                return [message async for message in messages]

            async def close() -> None:
                await place.world.sleep(0.02)
                messages.close()

            seen, _ = await place.world.together(read, close)
            assert all(message["msg"] != "process_completed" for message in seen)
            await place.ends(endless)

    # Time, and bytes that wait

    @scenario
    async def test_a_server_that_says_nothing_runs_out_of_time(self, place: Place) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            error = await refused(place.world, url, timeouts=Timeouts(request=0.2))
            assert isinstance(error, DeadlineExceeded)
            assert error.phase

    @scenario
    async def test_waiting_for_a_silent_server_can_be_cancelled(self, place: Place) -> None:
        tasks = place.world.tasks()
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"

            async def connect() -> None:
                async with place.world.client(url):
                    raise AssertionError("it is open, and the server has said nothing")

            assert await place.world.within(0.1, connect)
            await place.until(lambda: place.world.tasks() <= tasks)

    @scenario
    async def test_what_nobody_reads_stays_at_the_server(self, place: Place) -> None:
        if place.lively.app.version < EVENT_STREAMS:
            pytest.skip("a WebSocket is never paused: it has to answer pings")
        many, size = 100, 100_000
        async with place.client(limits=Limits(kept_outputs=20 * size)) as client:
            job = client.submit(many, api_name="/held_flood", isolated=True)
            outputs = aiter(job)
            place.lively.go_on.set()  # a job that nobody reads is not paused
            seen = [int((await anext(outputs))[:6])]
            for _ in range(20):  # enough for all of them to come, if nothing holds them
                await place.world.sleep(0.01)
            assert await client.predict("others", api_name="/echo") == "others"
            assert not job.done(), "pause(conn) was called, and the world reads on"
            seen += [int(output[:6]) async for output in outputs]
            assert seen == [*range(many)], "outputs were lost while nobody read"

    # Connections that end

    @scenario
    async def test_a_connection_that_is_closed_is_read_no_more(self, place: Place) -> None:
        lively = place.lively
        async with place.client() as client:
            job = client.submit("x" * 100_000, api_name="/held_plain")
            await place.world.blocking(lambda: lively.holding.acquire(timeout=PATIENCE))
            job.cancel()
            assert await client.predict("others", api_name="/echo") == "others"
            lively.go_on.set()  # the answer is sent on a connection that the engine has closed
            await place.world.sleep(0.05)
            assert await client.predict("still here", api_name="/echo") == "still here"

    @scenario
    async def test_a_connection_that_is_reset_fails_its_job(self, place: Place) -> None:
        with _Breaking(place.url) as breaking:
            async with place.world.client(breaking.url, timeouts=place.timeouts) as client:
                endless = place.lively.new_endless()
                job = client.submit(endless.name, api_name="/endless")
                await anext(aiter(job))
                breaking.reset()
                error = await job.exception(PATIENCE)
                assert isinstance(error, ConnectionLost)
                assert error.outputs[0] == (0,)
                assert await client.predict("again", api_name="/echo") == "again"

    # Many that wait, and what is forgotten

    @scenario
    async def test_all_who_wait_are_told_of_the_end(self, place: Place) -> None:
        async with place.client() as client:
            jobs = [client.submit("x", api_name="/held") for _ in range(self.many)]

            async def wait(job: Any) -> bool:
                with pytest.raises(JobCancelledError):
                    await job
                return True

            async def close() -> bool:
                await place.world.sleep(0.05)
                await client.close()
                return True

            waiting = [partial(wait, job) for job in jobs]
            assert all(await place.world.together(close, *waiting))

    @scenario
    async def test_a_stream_that_is_collected_in_another_thread_ends(self, place: Place) -> None:
        endless = place.lively.new_endless()
        async with place.client() as client:
            held = [client.stream_messages(endless.name, api_name="/endless")]
            await until_it_yields(held[0])
            await place.world.blocking(held.clear)
            await place.ends(endless)
            assert await client.predict("still here", api_name="/echo") == "still here"


def _fail(mistakes: list[str], error: BaseException | None) -> NoReturn:
    lines = ["The world neglects its duties:", *(f"* {what}" for what in mistakes)]
    if error is not None:
        lines.append(f"What came of it: {type(error).__name__}: {error}")
    raise AssertionError("\n".join(lines)) from error


class _Breaking:
    """Carries connections to *url* in threads, until they are reset."""

    def __init__(self, url: str) -> None:
        host, _, port = url.removeprefix("http://").rstrip("/").rpartition(":")
        self._to = host, int(port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.reset()
        for thread in self._threads:
            thread.join(PATIENCE)

    def reset(self) -> None:
        """Reset all connections that there are, as when a machine is restarted."""
        reset, self._open = self._open, []
        for sock in reset:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.shutdown(socket.SHUT_RD)  # wakes the thread that reads it
            sock.close()

    def _start(self, target: Callable[..., None], *what: Any) -> None:
        thread = threading.Thread(target=target, args=what, name="breaking", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed: the end
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._to)
                self._open += client, server
                self._start(self._carry, client, server)
                self._start(self._carry, server, client)

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            if target in self._open:  # a reset is no end
                target.shutdown(socket.SHUT_WR)


def free_port() -> int:
    """A port of this machine on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port
