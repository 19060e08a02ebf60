"""What must work between every client and every server: scenarios that run in each world.

A scenario is an async function of a ``Stage``. What a version lacks, or breaks, stands in its
``Lack``: the table says so, and ``instead`` (where there is one) checks what happens then.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeAlias

import attrs
import pytest

from sansio_gradio.errors import (
    AppError,
    AuthenticationError,
    DeadlineExceeded,
    GradioError,
    JobCancelledError,
    LocalProtocolError,
    RemoteProtocolError,
)
from sansio_gradio.limits import Timeouts
from sansio_gradio.protocol.status import Status, StatusUpdate
from sansio_gradio.testing.worlds import World
from tests.support.javascript import NODE

from .poor_proxy import poor_proxy
from .server import ROOT

Version: TypeAlias = tuple[int, ...]

PATIENCE = Timeouts(job=30.0)


@attrs.frozen(kw_only=True)
class Stage:
    """Where a scenario is played."""

    world: World
    version: Version
    main: str  # the address of apps/main.py
    special: str  # of apps/special.py

    def client(self, src: str | None = None, **options: Any) -> Any:
        options = {"strict": True, "timeouts": PATIENCE, **options}
        if src == self.special and self.has(3, 16):
            options.setdefault("auth", ("user", "secret"))
        return self.world.client(src or self.main, **options)

    def has(self, *version: int) -> bool:
        return self.version >= version


Play: TypeAlias = Callable[[Stage], Awaitable[None]]


@attrs.frozen(kw_only=True)
class Lack:
    """Servers from ``since`` up to, but without, ``until`` cannot do it."""

    until: Version
    since: Version = ()
    why: str
    instead: Play | None = None


@attrs.frozen(kw_only=True)
class Scenario:
    title: str
    play: Play
    lacks: tuple[Lack, ...]

    def lack(self, version: Version) -> Lack | None:
        found = (lack for lack in self.lacks if lack.since <= version < lack.until)
        return next(found, None)


SCENARIOS: list[Scenario] = []


def scenario(title: str, *lacks: Lack) -> Callable[[Play], Play]:
    def keep(play: Play) -> Play:
        SCENARIOS.append(Scenario(title=title, play=play, lacks=lacks))
        return play

    return keep


GENERATORS = Lack(until=(3, 3), why="no generators: their text comes back as the result")


async def fails(job: Any, kind: type[GradioError]) -> Any:
    """The error in which a job ends, which is of this very kind."""
    error = await job.exception()
    assert type(error) is kind, repr(error)
    return error


async def outputs(job: Any) -> list[Any]:
    return [output async for output in job]


# One result


@scenario("results")
async def results(stage: Stage) -> None:
    async with stage.client() as client:
        for text in ("hello", "", "h\u00e4\u00dflich \u6f22 \U0001f600 \u2028", "x" * 100_000):
            assert await client.predict(text, api_name="/echo") == text
        assert await client.predict("Bob", 2, True, api_name="/greet") == "HELLO BOB BOB"
        assert await client.predict(7, 2, api_name="/divide") == (3, 1)
        found = [e.fn_index for e in client.app.endpoints.values() if e.api_name == "/echo"]
        assert await client.predict("b", fn_index=found[0]) == "b"


async def by_position_only(stage: Stage) -> None:
    async with stage.client() as client:
        error = await fails(client.submit(api_name="/greet"), LocalProtocolError)
        assert "must be given" in error.message


@scenario(
    "arguments by name, defaults",
    Lack(
        until=(4, 23),
        why="`/info` does not tell names and defaults: a clear error",
        instead=by_position_only,
    ),
)
async def names(stage: Stage) -> None:
    async with stage.client() as client:
        assert await client.predict(api_name="/greet") == "hello World World"
        assert await client.predict(loud=True, times=1, api_name="/greet") == "HELLO WORLD"


@scenario("past the queue")
async def past_the_queue(stage: Stage) -> None:
    async with stage.client() as client:
        assert await client.predict("plain", api_name="/echo_unqueued") == "plain"


@scenario("State")
async def state(stage: Stage) -> None:
    async with stage.client() as client:
        said = [await client.predict(text, api_name="/remember") for text in "abc"]
        assert said == ["a", "a, b", "a, b, c"]
        await client.reset_session()
        assert await client.predict("x", api_name="/remember") == "x"


# Many outputs


@scenario("generators", GENERATORS)
async def generators(stage: Stage) -> None:
    async with stage.client() as client:
        job = client.submit(50, api_name="/count")
        wanted = [f"step {step}" for step in range(50)]
        assert await outputs(job) == wanted
        assert await job == wanted[-1]
        assert await outputs(client.submit(5, api_name="/both")) == [
            (step, f"text {step // 2}") for step in range(5)
        ]


@scenario("changes (chat, lists that shrink)", GENERATORS)
async def changes(stage: Stage) -> None:
    async with stage.client() as client:
        wanted: list[Any] = [
            {"flat": [1, 2, 3, 4], "nested": [[1, 2, 3], [4, 5, [6, 7, 8]]], "text": "hi"},
            {"flat": [1], "nested": [[1], [4, 5, [6]]], "text": "hi"},
            {"flat": [], "nested": [[]], "new": None},
        ]
        assert await outputs(client.submit("hi", api_name="/shrink_json")) == wanted
        turns = [len(said) for said in await outputs(client.submit("hi", api_name="/chat"))]
        assert turns == [turns[0]] * 7 + [2 * turns[0]] * 7


@scenario("a generator past the queue", GENERATORS)
async def unqueued_generator(stage: Stage) -> None:
    async with stage.client(stage.special) as client:
        for _ in range(2):
            job = client.submit(3, api_name="/count_unqueued")
            assert await outputs(job) == ["step 0", "step 1", "step 2"]
            assert await job == "step 2"


# On the way


@scenario("statuses")
async def statuses(stage: Stage) -> None:
    async with stage.client() as client:
        job = client.submit("x", api_name="/echo")
        told = [u async for u in job.updates() if isinstance(u, StatusUpdate)]
        codes = [update.code for update in told]
        assert codes == sorted(codes)
        assert {Status.IN_QUEUE, Status.FINISHED} <= set(codes)


@scenario("progress", Lack(until=(3, 16), why="no `gr.Progress`"))
async def progress(stage: Stage) -> None:
    async with stage.client() as client:
        job = client.submit(4, 3, api_name="/progress")
        told = [u async for u in job.updates() if isinstance(u, StatusUpdate)]
        units = [u.progress_data for u in told if u.code is Status.PROGRESS]
        assert any(len(unit) == 2 for unit in units)
        assert await job == "done"


@scenario("logs", Lack(until=(3, 36), why="no `gr.Info`"))
async def logs(stage: Stage) -> None:
    async with stage.client() as client:
        job = client.submit("x", api_name="/log")
        told = [u async for u in job.updates() if isinstance(u, StatusUpdate)]
        logged = [u.log for u in told if u.code is Status.LOG]
        assert logged == [["info: x", "info"], ["warning: x", "warning"]]


@scenario("messages", GENERATORS)
async def messages(stage: Stage) -> None:
    async with stage.client() as client, client.stream_messages(5, api_name="/count") as stream:
        kinds = [message.get("msg") async for message in stream]
        assert kinds[-6:] == ["process_generating"] * 5 + ["process_completed"]


# Errors


async def nothing_told(stage: Stage) -> None:
    async with stage.client() as client:
        error = await fails(client.submit("x", api_name="/fail"), AppError)
        assert error.message == "Internal Server Error"


@scenario(
    "errors of the app",
    Lack(
        until=(3, 1, 5),
        why='what the app says is lost: `AppError` with "Internal Server Error"',
        instead=nothing_told,
    ),
)
async def errors(stage: Stage) -> None:
    async with stage.client() as client:
        told = await fails(client.submit('it\'s "so"', api_name="/fail"), AppError)
        assert told.message == 'refused: it\'s "so"'
        hidden = await fails(client.submit("x", api_name="/fail_hidden"), AppError)
        assert "does not show" in hidden.message
        assert await client.predict("x", api_name="/echo") == "x"


@scenario("the calls after a crash of the server")
async def crash(stage: Stage) -> None:
    async with stage.client() as client:
        for _ in range(3):
            await fails(client.submit(api_name="/broken"), RemoteProtocolError)
            assert await client.predict("x", api_name="/echo_unqueued") == "x"
            assert await client.predict("x", api_name="/echo") == "x"


async def swallowed(stage: Stage) -> None:
    async with stage.client() as client:
        job = client.submit("x", api_name="/fail_midway")
        assert await outputs(job) == ["first", "second"]
        assert await job == "second"


@scenario(
    "errors midway",
    GENERATORS,
    Lack(
        until=(3, 6),
        why="the server swallows the error: the job completes with its last output",
        instead=swallowed,
    ),
)
async def errors_midway(stage: Stage) -> None:
    async with stage.client() as client:
        job = client.submit("x", api_name="/fail_midway")
        error = await fails(job, AppError)
        assert list(error.outputs) == [("first",), ("second",)]


@scenario("mistakes of the caller")
async def mistakes(stage: Stage) -> None:
    async with stage.client() as client:
        unknown = await fails(client.submit("x", api_name="/ecco"), LocalProtocolError)
        assert "did you mean '/echo'" in unknown.message
        many = await fails(client.submit("x", 1, True, 4, api_name="/greet"), LocalProtocolError)
        assert "at most, not 4" in many.message


# Many jobs


@scenario("100 jobs at once")
async def a_hundred(stage: Stage) -> None:
    async with stage.client() as client:
        jobs: list[Any] = []
        wanted: list[Any] = []
        for number in range(25):
            jobs += [
                client.submit(number, 0.05, api_name="/double"),
                client.submit(f"shout {number}", 0.02, api_name="/shout"),
                client.submit(f"echo {number}", api_name="/echo"),
            ]
            wanted += [2 * number, f"SHOUT {number}", f"echo {number}"]
            if stage.has(3, 3):
                jobs.append(client.submit(number % 10 + 1, api_name="/count"))
                wanted.append(f"step {number % 10}")
            else:
                jobs.append(client.submit(number, 7, api_name="/divide"))
                wanted.append((number // 7, number % 7))
        assert [await job for job in jobs] == wanted
        if stage.has(3, 3):
            for number, job in enumerate(jobs[3::4]):
                assert job.outputs() == [f"step {step}" for step in range(number % 10 + 1)]


# On the way to the server


@scenario("a proxy without `/config` and WebSockets")
async def behind_a_poor_proxy(stage: Stage) -> None:
    with poor_proxy(stage.main) as url:
        async with stage.client(url) as client:
            assert await client.predict("x", api_name="/echo") == "x"
            assert await client.predict("x", api_name="/echo_unqueued") == "x"
            assert await client.predict("a", api_name="/remember") == "a"
            assert await client.predict("b", api_name="/remember") == "a, b"
            if stage.has(3, 3):
                job = client.submit(3, api_name="/count")
                assert await outputs(job) == ["step 0", "step 1", "step 2"]
            await fails(client.submit("x", api_name="/fail"), AppError)


@scenario("a login", Lack(until=(3, 16), why="no login beside a queue"))
async def login(stage: Stage) -> None:
    for auth in (None, ("user", "wrong"), ("nobody", "secret")):
        with pytest.raises(AuthenticationError) as caught:
            async with stage.client(stage.special, auth=auth):
                pass
        assert caught.value.phase == ("config" if auth is None else "login")
    async with stage.client(stage.special) as client:
        assert await client.predict("x", api_name="/echo") == "x"
        assert await client.predict("x", api_name="/echo_unqueued") == "x"


# Giving up


async def only_here(stage: Stage) -> None:
    async with stage.client() as client:
        job = client.submit(10, api_name="/slow")
        async for _ in job:
            break
        assert job.cancel()
        assert job.cancelled() or isinstance(await job.exception(), JobCancelledError)
        error = await fails(client.submit(10, api_name="/slow", timeout=0.5), DeadlineExceeded)
        assert error.phase == "job"
        assert await client.predict("still here", api_name="/echo") == "still here"


RUNS_ON = Lack(
    until=(3, 6),
    why="nothing stops a function: the job is over for the client, and runs on",
    instead=only_here,
)


async def settled(stage: Stage, client: Any) -> None:
    """The server soon takes no more steps, long before the end."""
    before = -1
    for _ in range(20):
        now = await client.predict(api_name="/slow_steps")
        if now == before:
            return
        before = now
        await stage.world.sleep(0.35)  # three steps of one that still runs
    raise AssertionError("it still runs")


@scenario("cancel", GENERATORS, RUNS_ON)
async def cancel(stage: Stage) -> None:
    async with stage.client() as client:
        job = client.submit(100, api_name="/slow")
        async for output in job:
            assert output == "slow 0"
            break
        assert job.cancel()
        error = await job.exception() if not job.cancelled() else None
        assert error is None or isinstance(error, JobCancelledError)
        await settled(stage, client)
        assert await client.predict("still here", api_name="/echo") == "still here"


@scenario("a deadline", GENERATORS, RUNS_ON)
async def a_deadline(stage: Stage) -> None:
    async with stage.client() as client:
        error = await fails(client.submit(100, api_name="/slow", timeout=0.5), DeadlineExceeded)
        assert error.phase == "job"
        await settled(stage, client)
        assert await client.predict("still here", api_name="/echo") == "still here"


# What not every app has


async def no_call(stage: Stage) -> None:
    async with stage.client(stage.special, protocol="call") as client:
        error = await fails(client.submit("x", api_name="/echo"), LocalProtocolError)
        assert "4.20" in error.message


@scenario("`/call`", Lack(until=(4, 20), why="no simple REST API: a clear error", instead=no_call))
async def call(stage: Stage) -> None:
    async with stage.client(stage.special, protocol="call") as client:
        assert await client.predict("x", api_name="/echo") == "x"
        assert await client.predict("x", api_name="/echo_unqueued") == "x"
        assert await client.predict("x", api_name="/remember") == "x"
        job = client.submit(5, api_name="/count")
        assert await outputs(job) == [f"step {step}" for step in range(5)]
        error = await fails(client.submit("x", api_name="/fail"), AppError)
        assert ("refused: x" if stage.has(6, 13) else "6.13") in error.message
        many = [client.submit(f"x{number}", api_name="/echo") for number in range(20)]
        assert [await job for job in many] == [f"x{number}" for number in range(20)]
        slow = client.submit(100, api_name="/slow")
        async for _ in slow:
            break
        assert slow.cancel()
        assert await client.predict("still here", api_name="/echo") == "still here"


async def no_call_by_name(stage: Stage) -> None:
    async with stage.client(stage.special, protocol="call_v2") as client:
        error = await fails(client.submit("x", api_name="/echo"), LocalProtocolError)
        assert "6.13" in error.message


@scenario(
    "`/call/v2`",
    Lack(until=(6, 13), why="no calls by name: a clear error", instead=no_call_by_name),
)
async def call_by_name(stage: Stage) -> None:
    async with stage.client(stage.special, protocol="call_v2") as client:
        assert await client.predict(3, api_name="/count") == "step 2"
        assert await client.predict("x", api_name="/remember") == "x"


@scenario("event data", Lack(until=(3, 21), why="no `gr.SelectData`"))
async def event_data(stage: Stage) -> None:
    async with stage.client(stage.special) as client:
        data = {"value": "word", "index": [1, 5], "selected": True}
        said = await client.submit(api_name="/selected", event_data=data)
        assert said == "word at [1, 5]"


@scenario("trigger", Lack(until=(4, 3), why="no `trigger_id`"))
async def trigger(stage: Stage) -> None:
    async with stage.client(stage.special) as client:
        parts = client.app.components.values()
        for name in ("first", "second"):
            (id,) = [part.id for part in parts if part.props.get("elem_id") == name]
            assert await client.submit(api_name="/triggered", trigger_id=id) == name


@scenario("visibility", Lack(until=(4, 12), why="no `show_api`"))
async def visibility(stage: Stage) -> None:
    async with stage.client(stage.special) as client:
        shown = await client.view_api()
        assert "/echo" in shown
        assert "hidden" not in shown
        assert await client.predict(api_name="/hidden") == "hidden"
        error = await fails(client.submit(api_name="/secret"), LocalProtocolError)
        # Before 6.0 it has no name.
        assert "is private" in error.message or "no endpoint" in error.message


@scenario("a second page", Lack(until=(5, 20), why="no pages"))
async def pages(stage: Stage) -> None:
    async with stage.client(stage.special) as client:
        assert await client.predict("x", api_name="/on_second") == "second: x"


@scenario(
    "`gr.render`",
    Lack(until=(4, 31), why="no `gr.render`"),
    Lack(until=(4, 36), why="the function that renders is private"),
)
async def render(stage: Stage) -> None:
    async with stage.client(stage.special) as client:
        names = [e.api_name for e in client.app.endpoints.values()]
        assert "/box_1" not in names
        await client.predict(2, api_name="/apply")  # what gr.render calls it
        assert await client.predict("x", api_name="/box_1") == "1: x"
        await client.predict(1, api_name="/apply")
        error = await fails(client.submit("x", api_name="/box_1"), LocalProtocolError)
        assert "no endpoint" in error.message
        # In 6.x what is rendered again gets a new name: the old one is taken.
        (box,) = [e for e in client.app.endpoints.values() if (e.api_name or "").startswith("/box")]
        assert await client.predict("y", fn_index=box.fn_index) == "0: y"


@scenario("functions of components", Lack(until=(4, 0), why="no component that says its functions"))
async def component_functions(stage: Stage) -> None:
    async with stage.client(stage.special) as client:
        parts = client.app.components.values()
        (id,) = [part.id for part in parts if "ls" in part.props.get("server_fns", ())]
        found = await client.call_component(id, "ls", [] if stage.has(4, 17) else None)
        assert "special.py" in str(found)
        error = await fails(client.call_component(id, "rm"), LocalProtocolError)
        assert "no server function" in error.message


@scenario(
    "[examples/client.mjs](../examples/client.mjs)",
    Lack(
        until=(3, 3),
        why="the example does not speak `push`; 3.1.5 to 3.2 have no generators for it",
    ),
)
async def in_javascript(stage: Stage) -> None:
    assert NODE is not None, "there is no Node 22 or later"
    client = [NODE, str(ROOT / "examples" / "client.mjs"), stage.main]

    def run(*call: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [*client, *call], capture_output=True, text=True, timeout=30, check=False
        )
        return done.returncode, done.stdout, done.stderr

    steps = "".join(f'"step {step}"\n' for step in (0, 1, 2, 2))
    for call, wanted in (
        (("/echo", '"x"'), (0, '"x"\n', "")),
        (("/echo_unqueued", '"x"'), (0, '"x"\n', "")),
        (("/divide", "7", "2"), (0, "[3,1]\n", "")),
        (("/count", "3"), (0, steps, "")),
        (("/remember", '"x"'), (0, '"x"\n', "")),
        (("/fail", '"x"'), (1, "", "AppError: refused: x\n")),
    ):
        got = await stage.world.blocking(partial(run, *call))
        assert got == wanted
    told = await stage.world.blocking(partial(run, "/shrink_json", '"hi"'))
    *_, last = told[1].splitlines()
    assert json.loads(last) == {"flat": [], "nested": [[]], "new": None}
