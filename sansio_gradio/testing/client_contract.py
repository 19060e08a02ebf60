"""``ClientContract``: is a client of Gradio apps right?"""

from __future__ import annotations

import contextlib
import inspect
import itertools
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, ClassVar, NoReturn, TypeVar, cast

import pytest

from sansio_gradio.protocol.features import version_numbers
from sansio_gradio.protocol.protocols import traits_of
from sansio_gradio.server.app import App
from sansio_gradio.server.contents import File
from sansio_gradio.server.versions import protocol_of
from sansio_gradio.testing.cases import (
    TOGETHER,
    VERSIONS,
    Case,
    Heard,
    app_of,
    cases,
    complaint,
    same,
)
from sansio_gradio.testing.loopback import relayed
from sansio_gradio.testing.relay import PLAIN, Relay, Side, Variation

__all__ = ["ClientContract"]

T = TypeVar("T")

_SHOWN = 3000  # characters of the conversation in a failure's text


class ClientContract:
    """Tests for a client of your own, in whatever form: derive a class and override ``call``.

    Each test starts an app on loopback, whose functions and bytes are known, calls it through your
    client, and compares what your client gives with what the app gave. A failure says what is
    wrong, which rule of docs/protocol.md it breaks, and which bytes were exchanged.
    """

    versions: ClassVar[Sequence[str]] = VERSIONS
    """The releases of Gradio that the app poses as."""
    patience: float = 20.0
    """Seconds after which a call that has not ended counts as stuck."""
    can: ClassVar[frozenset[str]] = frozenset()
    """What else your client can do: ``status``, ``jobs``, ``cancel``, ``files``. Tests of the
    others are skipped."""

    def call(self, url: str, api_name: str, data: list[Any]) -> Any:
        """Call one function of the app at *url*, through your client.

        A generator: ``yield`` each output, as a list of its values; with the ability ``status``
        also each status, as a dict, whose ``log`` is a list of text and level if it is a notice;
        ``return`` the result, as a list of values; raise any exception if your client tells an
        error. State is in none of the lists. A plain function returns the result alone: then
        outputs are not judged.
        """
        raise NotImplementedError("override call: it has to call the app through your client")

    def call_all(self, url: str, calls: list[tuple[str, list[Any]]]) -> list[list[Any]]:
        """Make all of these calls at once, through one client. Returns their results, in their
        order. For the ability ``jobs``."""
        raise NotImplementedError("override call_all, or leave 'jobs' out of can")

    def call_and_cancel(self, url: str, api_name: str, data: list[Any]) -> None:
        """Call a function that yields without end, cancel the call after its first output, and
        return when your client takes it for over. For the ability ``cancel``."""
        raise NotImplementedError("override call_and_cancel, or leave 'cancel' out of can")

    def send_file(self, url: str, api_name: str, name: str, content: bytes) -> bytes:
        """Call a function with a file, which gives it back. Returns the bytes of the file in the
        result. For the ability ``files``."""
        raise NotImplementedError("override send_file, or leave 'files' out of can")

    # The tests

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make the cases of the tests from ``versions``."""
        if "case" in metafunc.fixturenames:
            metafunc.parametrize("case", list(cases(self.versions)), ids=str)
        elif "variation" in metafunc.fixturenames:
            pairs = itertools.product(self.versions, (PLAIN, TOGETHER))
            sets = [pair for pair in pairs if _channel(pair[0]) in pair[1].channels]
            names = [f"{version}-{variation.name}" for version, variation in sets]
            metafunc.parametrize(("version", "variation"), sets, ids=names)
        elif "version" in metafunc.fixturenames:
            metafunc.parametrize("version", self.versions)

    def test_call(self, case: Case) -> None:
        scenario = case.scenario
        with self._served(app_of([scenario], case.version), case.variation) as (url, relay):
            heard = self._within(
                lambda: self._heard(url, scenario.api_name, list(scenario.data)), relay, case.rule
            )
        if (wrong := complaint(scenario, heard)) is not None:
            told = f"{wrong}\nA client {scenario.says}."
            _fail(told, case.rule, relay, case.variation)
        _demand_no_breach(relay)

    def test_several_calls_at_once(self, version: str, variation: Variation) -> None:
        self._demand("jobs")
        app = App(version=version, concurrency_limit=None)
        all_run = threading.Barrier(_TOGETHER)

        @app.endpoint("/repeat")
        def repeat(text: str) -> Iterator[str]:
            with contextlib.suppress(threading.BrokenBarrierError):
                all_run.wait(1.0)  # where the server lets them run side by side
            yield text
            yield text * 2
            yield text * 3

        calls: list[tuple[str, list[Any]]] = [("/repeat", [text]) for text in "abcdef"[:_TOGETHER]]
        with self._served(app, variation) as (url, relay):
            results = self._within(lambda: self.call_all(url, calls), relay, "R-stream-4")
        expected = [[text * 3] for _, (text,) in calls]
        if not same(results, expected):
            _fail(f"The results are {results}, and not {expected}.", "R-stream-4", relay, variation)
        _demand_no_breach(relay)

    def test_a_cancelled_call_stops_on_the_server(self, version: str) -> None:
        self._demand("cancel")
        app = App(version=version)
        ended = threading.Event()

        @app.endpoint("/endless")
        def endless(text: str) -> Iterator[str]:
            try:
                for count in itertools.count():
                    yield f"{text} {count}"
                    time.sleep(0.01)
            finally:
                ended.set()

        with self._served(app) as (url, relay):
            self._within(lambda: self.call_and_cancel(url, "/endless", ["x"]), relay, "R-cancel-4")
            if not ended.wait(self.patience):
                _fail("The function still runs on the server.", "R-cancel-1", relay)

    def test_a_file_goes_there_and_back(self, version: str) -> None:
        self._demand("files")
        app = App(version=version)
        content = bytes(range(256)) * 300

        @app.endpoint("/same")
        def give_back(file: File) -> File:
            return file

        with self._served(app) as (url, relay):
            got = self._within(
                lambda: self.send_file(url, "/same", 'a "b" c.bin', content), relay, "R-file-5"
            )
        if got != content:
            _fail(f"{len(content)} bytes went, and {len(got)} others came.", "R-file-8", relay)

    # What they are made of

    def _demand(self, ability: str) -> None:
        if ability not in self.can:
            pytest.skip(f"this client does not declare {ability!r}")

    @contextlib.contextmanager
    def _served(self, app: App, variation: Variation = PLAIN) -> Generator[tuple[str, Relay]]:
        relay = Relay(variation)
        with relayed(app, relay, grace=0.5) as url:
            yield url, relay

    def _heard(self, url: str, api_name: str, data: list[Any]) -> Heard:
        heard = Heard(statuses=[] if "status" in self.can else None)
        try:
            called = self.call(url, api_name, data)
            if not inspect.isgenerator(called):
                heard.outputs, heard.result = None, called
                return heard
            steps = cast("Generator[Any, None, Any]", called)
            while True:
                try:
                    said = next(steps)
                except StopIteration as stop:
                    heard.result = stop.value
                    return heard
                if not isinstance(said, dict):
                    assert heard.outputs is not None
                    heard.outputs.append(said)
                elif heard.statuses is not None:
                    heard.statuses.append(cast("dict[str, Any]", said))
        except NotImplementedError:
            raise
        except Exception as error:  # a client may raise any kind, to tell the app's error
            heard.error = f"{type(error).__name__}: {error}"
            return heard

    def _within(self, call: Callable[[], T], relay: Relay, rule: str) -> T:
        """Call it in a thread, which may get stuck."""
        results: list[T] = []
        errors: list[BaseException] = []

        def run() -> None:
            try:
                results.append(call())
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=run, name="client under test", daemon=True)
        thread.start()
        thread.join(self.patience)
        if errors:
            raise errors[0]
        if not results:
            _fail(f"The client is stuck: no end after {self.patience:g} s.", rule, relay)
        return results[0]


_TOGETHER = 4


def _channel(version: str) -> Any:
    return traits_of(protocol_of(version_numbers(version))).channel


def _fail(what: str, rule: str, relay: Relay, variation: Variation | None = None) -> NoReturn:
    if relay.breaches:  # the cause of whatever has come of it
        rule, what = relay.breaches[0]
    page = "docs/protocol.md"
    lines = [what, f"The rule is {rule} (see {page})."]
    if variation is not None and variation is not PLAIN:
        lines.append(f"The server's words were varied: {variation.name}.")
    pytest.fail("\n".join([*lines, "What was said, the last of it:", _said(relay)]), pytrace=False)


def _demand_no_breach(relay: Relay) -> None:
    if relay.breaches:
        _fail("", "", relay)


def _said(relay: Relay) -> str:
    arrows = {Side.CLIENT: "->", Side.SERVER: "<-"}
    text = "\n".join(
        f"{spoken.conn} {arrows[spoken.by]} {spoken.data.decode('utf-8', 'replace') or '(end)'}"
        for spoken in relay.spoken
    )
    return text if len(text) <= _SHOWN else f"…{text[-_SHOWN:]}"
