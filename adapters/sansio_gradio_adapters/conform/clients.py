"""Runs somebody's client, one process for each case, against conductors on sockets."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, cast

import attrs

from sansio_gradio.given import is_a
from sansio_gradio.protocol.files import META
from sansio_gradio.server.contents import File
from sansio_gradio.testing.changes import SHORT
from sansio_gradio.testing.conducting import Conductor, Plan
from sansio_gradio.testing.judging import Finding, ToldCaller, judge
from sansio_gradio.testing.plans import simpler
from sansio_gradio.testing.scenarios import StagedScenario
from sansio_gradio_adapters.conform.report import Row, transcript

__all__ = ["CannotRun", "Trials"]

START: Final = 60.0  # seconds for a process to ask for something
ACTIVE: Final = 6.0  # a case that takes longer waits for something, and lets another one run
SHRINKS: Final = 6  # runs to make one failed case smaller
SHRINKING: Final = 15.0  # seconds for them, for each difference of the case
SHRUNK: Final = 2  # failed cases of one rule that are made smaller
SIMPLEST: Final = "text"
LINES: Final = 10_000  # of one process
MOST: Final = 1 << 24  # bytes of a file that is looked at


class CannotRun(Exception):
    """The command of the client cannot be run."""


@attrs.define
class Trials:
    """Tries the client that *command* starts. ``can``: what it can do besides one call. ``tell`` is
    called with each case that is over, and how many there are."""

    command: Sequence[str]
    can: Collection[str]
    tell: Callable[[Row, int, int], object]
    at_once: int = attrs.field(factory=lambda: 2 * (os.cpu_count() or 1))
    _over: int = attrs.field(default=0, init=False)
    _slots: asyncio.Semaphore = attrs.field(init=False)
    _broken: dict[tuple[str, str], str] = attrs.field(
        factory=dict[tuple[str, str], str], init=False
    )  # the rules of single differences that a client cannot stand
    _unknown: set[str] = attrs.field(factory=set[str], init=False)  # releases it cannot talk to
    _shrunk: Counter[str] = attrs.field(factory=Counter[str], init=False)
    _bare: dict[tuple[str, str], asyncio.Future[Row]] = attrs.field(
        factory=dict[tuple[str, str], "asyncio.Future[Row]"], init=False
    )

    async def run(self, plans: Sequence[Plan]) -> list[Row]:
        """Try all plans, several at once.

        Raises:
            CannotRun: there is no such program.
        """
        self._slots = asyncio.Semaphore(self.at_once)
        loop = asyncio.get_running_loop()
        for plan in plans:
            if not plan.differences:
                self._bare[plan.version, plan.scenario.name] = loop.create_future()
        # Those that wait for silence begin first, and need no slot while they wait.
        # Those with several differences come last: what fails by one alone is known by then.
        slowest = sorted(plans, key=lambda plan: (len(plan.differences) > 1, -seconds_of(plan)))
        tasks = {id(plan): asyncio.ensure_future(self._case(plan, len(plans))) for plan in slowest}
        try:
            done, _ = await asyncio.wait(tasks.values(), return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()  # raises its error, if it has one
            return [tasks[id(plan)].result() for plan in plans]
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)

    async def _case(self, plan: Plan, count: int) -> Row:
        needs = plan.scenario.needs
        rule = plan.rule
        if needs is not None and needs not in self.can:
            case = Row.of(plan, "skipped", rule, f"Not declared: --can {needs}")
        elif not await self._can_call(plan):
            case = Row.of(plan, "skipped", rule, f"{SIMPLEST} has no result on this release")
        else:
            case = await self._tried(plan)
        bare = self._bare.get((plan.version, plan.scenario.name))
        if not plan.differences and bare is not None:
            bare.set_result(case)
        self._over += 1
        self.tell(case, self._over, count)
        return case

    async def _can_call(self, plan: Plan) -> bool:
        """Whether the simplest call has had a result on that release. If not, nothing else will."""
        simplest = self._bare.get((plan.version, SIMPLEST))
        if simplest is None or (plan.scenario.name == SIMPLEST and not plan.differences):
            return True
        await simplest
        return plan.version not in self._unknown

    async def _tried(self, plan: Plan) -> Row:
        conductor, told, finding = await self._attempt(plan)
        if plan.scenario.name == SIMPLEST and not plan.differences and not told.all("result"):
            self._unknown.add(plan.version)
        if finding is None:
            return Row.of(plan, "passed", plan.rule, plan.says)
        bare = self._bare.get((plan.version, plan.scenario.name)) if plan.differences else None
        if bare is not None and (cause := await bare).verdict == "failed":
            # It is not the change that this client cannot stand.
            what = f"It fails without any change, too. {finding.what}"
            return Row.of(plan, "failed", cause.rule, what, transcript(conductor))
        for difference in plan.differences if len(plan.differences) > 1 else ():
            known = self._broken.get((plan.version, difference))
            if known is not None:  # it fails by that alone
                what = f"It fails with {difference} alone, too. {finding.what}"
                return Row.of(plan, "failed", known, what, transcript(conductor))
        smallest = plan
        self._shrunk[finding.rule] += 1
        if self._shrunk[finding.rule] <= SHRUNK or len(plan.differences) > 1:
            smallest, conductor, finding = await self._smaller(plan, conductor, finding)
        if len(smallest.differences) == 1:
            self._broken[smallest.version, smallest.differences[0]] = finding.rule
        return Row.of(
            plan, "failed", finding.rule, finding.what, transcript(conductor), smallest=smallest
        )

    async def _smaller(
        self, plan: Plan, conductor: Conductor, finding: Finding
    ) -> tuple[Plan, Conductor, Finding]:
        """The smallest plan found that fails as well."""
        left = SHRINKS if seconds_of(plan) <= SHORT else 0
        until = time.monotonic() + SHRINKING * max(1, len(plan.differences))
        found = plan, conductor, finding
        candidates = simpler(plan)
        while (
            left and time.monotonic() < until and (candidate := next(candidates, None)) is not None
        ):
            left -= 1
            tried, _, other = await self._attempt(candidate)
            if other is not None:
                found = candidate, tried, other
                candidates = simpler(candidate)
        return found

    async def _attempt(self, plan: Plan) -> tuple[Conductor, ToldCaller, Finding | None]:
        from sansio_gradio_adapters.conform.hosting import Hosting  # noqa: PLC0415

        slot = _Turn(self._slots)
        await slot.take()
        try:
            with tempfile.TemporaryDirectory(
                prefix="conform-", ignore_cleanup_errors=True
            ) as folder:
                async with Hosting(plan) as host:
                    command = self._filled(plan, host.url, Path(folder))
                    told = await _Process(command, plan.scenario, slot, folder).run(
                        seconds_of(plan), lambda: host.has_been_asked
                    )
                    await asyncio.sleep(0.05)  # what its last bytes say
                    told = _with_files(told, plan.scenario)
                    return host.conductor, told, judge(host.conductor, told)
        finally:
            slot.free()

    def _filled(self, plan: Plan, url: str, folder: Path) -> list[str]:
        scenario = plan.scenario
        data = [_on_disk(value, folder / str(n)) for n, value in enumerate(scenario.data)]
        twins = [] if scenario.twin is None else [scenario, scenario.twin]
        texts = {
            "{url}": url,
            "{api}": f"/{scenario.name}",
            "{data}": json.dumps(data),
            "{jobs}": json.dumps([[f"/{one.name}", list(one.data)] for one in twins]),
        }
        return [_replaced(word, texts) for word in self.command]


def seconds_of(plan: Plan) -> float:
    """How long a client may take for it."""
    return max((change.seconds for change in plan.changes), default=SHORT)


def _replaced(word: str, texts: dict[str, str]) -> str:
    for place, text in texts.items():
        word = word.replace(place, text)
    return word


def _on_disk(value: Any, folder: Path) -> Any:
    """A value as the client is told it: of a file, where it is. It is written in a new folder."""
    if not isinstance(value, File):
        return value
    folder.mkdir()
    path = folder / value.name
    path.write_bytes(value.read())
    return {"path": str(path), "meta": META}


def _with_files(told: ToldCaller, scenario: StagedScenario) -> ToldCaller:
    """The same, with the files that the client has downloaded."""
    wanted = list(scenario.result or [])
    if not any(isinstance(one, File) for one in wanted):
        return told
    lines: list[Mapping[str, Any]] = []
    for line in told.lines:
        read = dict(line)
        for key in ("output", "result"):
            if isinstance(read.get(key), list):
                values: list[Any] = read[key]
                pairs = zip(values, wanted, strict=False)
                read[key] = [
                    *(_downloaded(v) if isinstance(file, File) else v for v, file in pairs),
                    *values[len(wanted) :],
                ]
        lines.append(read)
    return attrs.evolve(told, lines=lines)


def _downloaded(value: Any) -> Any:
    """The file that a client has saved, and tells by its path; *value* itself if there is none."""
    path: Any = value.get("path") if is_a(value, dict) else value
    if not isinstance(path, str) or not os.path.isfile(path):
        return value
    with open(path, "rb") as file:
        return File(os.path.basename(path), file.read(MOST))


class _Turn:
    """One of so many cases that may work at once."""

    def __init__(self, slots: asyncio.Semaphore) -> None:
        self._slots = slots
        self._is_taken = False

    async def take(self) -> None:
        await self._slots.acquire()
        self._is_taken = True

    def free(self) -> None:
        if self._is_taken:
            self._is_taken = False
            self._slots.release()


class _Process:
    """One run of the client."""

    def __init__(
        self, command: Sequence[str], scenario: StagedScenario, slot: _Turn, folder: str
    ) -> None:
        self._command = command
        # What it saves in the folder for temporary files goes with the case.
        self._environment = {**os.environ, **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), folder)}
        self._scenario = scenario
        self._slot = slot
        self._lines: list[dict[str, Any]] = []
        self._errors = bytearray()

    async def run(self, seconds: float, has_asked: Callable[[], bool]) -> ToldCaller:
        """Run it, for at most so many *seconds* from when it has asked for something."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
                env=self._environment,
                limit=1 << 24,
            )
        except OSError as error:
            raise CannotRun(f"{self._command[0]} cannot be run: {error}") from error
        began = time.monotonic()
        readers = [
            asyncio.ensure_future(self._read(process)),
            asyncio.ensure_future(self._read_errors(process)),
        ]
        try:
            is_over = await self._wait(process, seconds, has_asked)
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        await asyncio.wait(readers, timeout=2)
        for reader in readers:
            reader.cancel()
        status = process.returncode if is_over else None
        errors = self._errors.decode(errors="replace")
        return ToldCaller(self._lines, status, round(time.monotonic() - began, 1), errors)

    async def _wait(
        self, process: asyncio.subprocess.Process, seconds: float, has_asked: Callable[[], bool]
    ) -> bool:
        began, until = time.monotonic(), time.monotonic() + START
        is_counting = False
        while process.returncode is None:
            now = time.monotonic()
            if now - began > ACTIVE:
                self._slot.free()
            if not is_counting and has_asked():
                is_counting, until = True, now + seconds
            if now > until:
                return False
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), min(1.0, max(0.05, until - now)))
        return True

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        outputs = 0
        async for line in process.stdout:
            found = _read_line(line)
            if found is None or len(self._lines) > LINES:
                continue
            self._lines.append(found)
            outputs += "output" in found
            is_all = "output" in found and outputs == len(self._scenario.outputs)
            if self._scenario.is_cancelled and is_all:
                with suppress(ProcessLookupError):
                    process.send_signal(signal.SIGINT)

    async def _read_errors(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        while data := await process.stderr.read(65536):
            self._errors += data
            del self._errors[:-4000]


def _read_line(line: bytes) -> dict[str, Any] | None:
    """The line as an object with one of the keys; None: it is something else."""
    try:
        found: Any = json.loads(line)
    except ValueError:
        return None
    is_ours = isinstance(found, dict) and not _KEYS.isdisjoint(cast("dict[str, Any]", found))
    return cast("dict[str, Any]", found) if is_ours else None


_KEYS: Final = frozenset({"output", "status", "result", "error", "cancelled"})
