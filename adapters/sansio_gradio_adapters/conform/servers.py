"""Tries somebody's server: anything that says that it is a Gradio app.

It needs no functions that it knows. It calls those of the app's own whose arguments it can make
up: from defaults, examples, and simple kinds of components.
"""

from __future__ import annotations

import http.client
import json
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, Final

import attrs

from sansio_gradio.errors import AppError, GradioError, QueueFullError
from sansio_gradio.given import is_a
from sansio_gradio.limits import Timeouts
from sansio_gradio.protocol.endpoints import Endpoint, Visibility
from sansio_gradio.protocol.features import Feature, Version, has, version_numbers
from sansio_gradio.protocol.keys import (
    KINDS,
    MESSAGE_KEYS,
    ComponentKeys,
    ConfigKeys,
    FunctionKeys,
    Key,
    keys_of,
)
from sansio_gradio.protocol.protocols import Channel, traits_of
from sansio_gradio.protocol.status import StatusUpdate
from sansio_gradio.server.versions import protocol_of
from sansio_gradio_adapters.conform.report import Row, Verdict
from sansio_gradio_adapters.sockets import Client

__all__ = ["MOST_BUSY", "NoApp", "Visit", "Wrong", "check_places"]

MOST_BUSY: Final = 100
"""Jobs at once, at most: it is to find out about a queue, and not to flood an app."""

FUNCTIONS: Final = 5  # of the app that are called
GENERATORS: Final = 3  # among them, at most
AT_ONCE: Final = 5  # sessions
CALL: Final = 60.0  # seconds for a call that is tried
STOPS: Final = 5.0  # seconds for a server to say that it has stopped a job
MOST: Final = 6000  # characters of a transcript

# A value for each kind of component that is asked for no more than that.
_SIMPLE: Final[Mapping[str, Any]] = {"textbox": "conform", "checkbox": True, "json": {"a": 1}}


class NoApp(Exception):
    """There is no Gradio app at that address."""


@attrs.define(eq=False)
class Visit:
    """One visit to the app at *url*. ``tell`` is called with each case. ``busy``: how many jobs at
    once may fill the queue; 0: that is not tried."""

    url: str
    tell: Callable[[Row], object]
    busy: int = 0
    cases: list[Row] = attrs.field(factory=list[Row], init=False)
    like: str = attrs.field(default="", init=False)
    """Which releases the app behaves like, as far as one can see."""
    _version: Version = attrs.field(default=(), init=False)
    _version_text: str = attrs.field(default="", init=False)
    _seen: dict[str, set[str]] = attrs.field(factory=dict[str, set[str]], init=False)
    _heard: list[str] = attrs.field(factory=list[str], init=False)

    def run(self) -> list[Row]:
        """Try all there is to try.

        Raises:
            NoApp: there is nothing to try.
        """
        try:
            client = self._client()
        except GradioError as error:
            raise NoApp(f"{self.url}: {error}") from error
        with client:
            self._version_text = str(client.config.get("version", "")).strip()
            self._version = version_numbers(self._version_text)
            self._try_config(client)
            functions = self._functions(client)
            self._note(
                "functions",
                "R-config-4",
                "passed" if functions else "skipped",
                ", ".join(str(one.api_name) for one, _ in functions)
                or "No function of the app can be called without knowing it.",
            )
            for endpoint, data in functions:
                call = partial(self._call, endpoint, data)
                self._try(f"call{endpoint.api_name}", "R-end-1", call)
            for name, rule, what in self._further(client, functions):
                self._try(name, rule, what)
        self._compare()
        return self.cases

    # Cases

    def _client(self, **options: Any) -> Client:
        timeouts = Timeouts(job=CALL)
        return Client(self.url, strict=True, timeouts=timeouts, token=False, **options)

    def _try(self, name: str, rule: str, what: Callable[[], str | None]) -> None:
        """Note what comes of it: the text that *what* returns, or what was wrong; None: skipped."""
        self._heard = []
        try:
            said = what()
        except Wrong as wrong:
            self._note(name, wrong.rule or rule, "failed", str(wrong))
        except GradioError as error:
            self._note(name, rule, "failed", f"{type(error).__name__}: {error}")
        else:
            verdict: Verdict = "skipped" if said is None else "passed"
            self._note(name, rule, verdict, said or "This app offers nothing to try it on.")

    def _note(self, name: str, rule: str, verdict: Verdict, what: str) -> None:
        text = "\n".join(self._heard) if verdict == "failed" else ""
        case = Row(
            name=name,
            version=self._version_text,
            verdict=verdict,
            rule=rule,
            what=what,
            transcript=text if len(text) < MOST else f"{text[:MOST]}…",
        )
        self.cases.append(case)
        self.tell(case)

    def _further(
        self, client: Client, functions: Sequence[tuple[Endpoint, list[Any]]]
    ) -> Iterator[tuple[str, str, Callable[[], str | None]]]:
        channel = traits_of(protocol_of(self._version)).channel
        stops = "R-cancel-3" if has(self._version, Feature.CANCEL) else "R-cancel-10"
        yield "sessions", "R-stream-4", lambda: self._at_once(functions)
        yield "one session", "R-stream-4", lambda: self._in_one_session(client, functions)
        yield "reset", "R-session-2", lambda: self._reset(client, functions)
        if self.busy:
            full = {Channel.WEBSOCKET: "R-ws-8", Channel.JOB_STREAM: "R-sse-5"}
            rule = full.get(channel, "R-join-2")
            yield "busy", rule, lambda: self._fill_queue(client, functions)
        yield "cancel", stops, lambda: self._cancel(functions)
        yield "info", "R-config-4", lambda: self._info(client)
        if channel is Channel.SESSION_STREAM:
            yield "unknown session", "R-end-7", self._unknown_session
            yield "malformed join", "R-join-3", self._malformed
        if has(self._version, Feature.HEARTBEAT):
            yield "heartbeat", "R-session-4", self._heartbeat

    # What it says of itself

    def _try_config(self, client: Client) -> None:
        config: dict[str, Any] = dict(client.config)
        self._try("config", "R-config-1", lambda: self._check_config(config))
        self._try("protocol", "R-protocol-2", lambda: self._check_protocol(config))

    def _check_config(self, config: dict[str, Any]) -> str:
        parts: list[tuple[str, type, Any]] = [("config", ConfigKeys, config)]
        for kind, keys, key in (
            ("component", ComponentKeys, "components"),
            ("function", FunctionKeys, "dependencies"),
        ):
            items: list[Any] = config.get(key) or []
            parts += [(f"{kind} in place {place}", keys, one) for place, one in enumerate(items)]
        for name, rows, part in parts:
            self._check_keys(name, list(keys_of(rows)), part)
        return f"{len(parts)} objects have the keys and types of {self._version_text}."

    def _check_keys(self, name: str, keys: Sequence[Key[Any]], part: Any) -> None:
        if not is_a(part, dict):
            raise Wrong(f"The {name} is {_cut(part)}, and no object.")
        for key in keys:
            if key.always and key.name not in part:
                raise Wrong(f"The {name} lacks {key.name}.")
            if key.name not in part or key.any:
                continue
            value: Any = part[key.name]
            if type(value) not in (*key.kinds, type(None)):
                raise Wrong(f"{key.name} of the {name} is {_cut(value)}.")
            since = version_numbers(key.since) if key.since else ()
            if since > self._version:
                raise Wrong(f"The {name} has {key.name}, which came with {key.since}.")

    def _check_protocol(self, config: dict[str, Any]) -> str:
        said, own = config.get("protocol"), protocol_of(self._version)
        if said is None and self._version >= (4,):
            raise Wrong("The config names no protocol, as servers up to 3.50 do.", "R-config-1")
        if said not in (None, own):
            raise Wrong(f"The protocol is {said}, and releases like this one speak {own}.")
        return f"It speaks {own}."

    def _info(self, client: Client) -> str | None:
        if self._version < (3, 26):
            return None
        status, text = self._ask("GET", "info")
        self._heard.append(f"{status} {text}")
        try:
            told: Any = json.loads(text)["named_endpoints"]
        except (ValueError, TypeError, KeyError) as error:
            raise Wrong(f"/info is answered {status}, and has no named_endpoints.") from error
        known = {endpoint.api_name for endpoint in client.endpoints.values()}
        unknown = sorted(set(map(str, told)) - {str(name) for name in known})
        if unknown:
            raise Wrong(f"/info names functions that the config does not have: {unknown}")
        return f"{len(told)} named endpoints."

    # Functions

    def _functions(self, client: Client) -> list[tuple[Endpoint, list[Any]]]:
        found: list[tuple[Endpoint, list[Any]]] = []
        client.view_api(return_format="dict")  # reads names and defaults
        for endpoint in client.endpoints.values():
            data = _arguments(endpoint)
            is_open = endpoint.visibility is not Visibility.PRIVATE and endpoint.backend_fn
            if endpoint.api_name and is_open and data is not None:
                found.append((endpoint, data))
        # Those that yield show the most.
        yielding = [one for one in found if one[0].is_generator][:GENERATORS]
        others = [one for one in found if not one[0].is_generator]
        return [*yielding, *others][:FUNCTIONS]

    def _call(self, endpoint: Endpoint, data: list[Any]) -> str:
        """Call a function, and look at each message."""
        kinds: list[str] = []
        try:
            with self._client() as client:
                try:
                    with client.stream_messages(*data, api_name=str(endpoint.api_name)) as messages:
                        for message in messages:
                            kinds.append(self._check_message(dict(message)))
                except AppError as error:
                    if not kinds and not endpoint.queue:
                        return f"It refuses these arguments: {error}"
        finally:
            self._heard.append(" ".join(kinds))
        if endpoint.queue and kinds[-1:] != ["process_completed"]:
            raise Wrong(f"The last message is {kinds[-1:]}.")
        return " ".join(_counted(kinds))

    def _check_message(self, message: dict[str, Any]) -> str:
        self._heard.append(_cut(message))
        name = str(message.get("msg"))
        kind = KINDS.get(name)
        if kind is None:
            raise Wrong(f"No release sends messages of the kind {name}.", "R-message-1")
        self._seen.setdefault(name, set()).update(message)
        for key in kind.always:
            if key not in message:
                raise Wrong(f"{name} lacks {key}.", "R-message-1")
        for key in kind.keys:
            row = MESSAGE_KEYS[key]
            if key in message and row.since and version_numbers(row.since) > self._version:
                said = f"{name} has {key}, which came with {row.since}."
                raise Wrong(said, "R-message-1")
        return name

    # Sessions

    def _at_once(self, functions: Sequence[tuple[Endpoint, list[Any]]]) -> str | None:
        """The same call in several sessions at once: each ends, once."""
        if not functions:
            return None
        endpoint, data = functions[0]

        def one(_: int) -> str:
            with self._client() as client:
                return _end_of(client, endpoint, data)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            ends = list(pool.map(one, range(AT_ONCE)))
        return f"{AT_ONCE} sessions: {', '.join(sorted(set(ends)))}"

    def _in_one_session(
        self, client: Client, functions: Sequence[tuple[Endpoint, list[Any]]]
    ) -> str | None:
        """Several calls at once on one stream."""
        if not functions:
            return None
        jobs = [client.submit(*data, api_name=str(one.api_name)) for one, data in functions]
        ends = [_how(job.exception) for job in jobs]
        return f"{len(jobs)} jobs: {', '.join(sorted(set(ends)))}"

    def _fill_queue(
        self, client: Client, functions: Sequence[tuple[Endpoint, list[Any]]]
    ) -> str | None:
        """Many jobs of one function at once: each ends, or is told that the queue is full."""
        queued = [one for one in functions if one[0].queue]
        if not queued:
            return None
        endpoint, data = queued[0]
        name = str(endpoint.api_name)
        jobs = [client.submit(*data, api_name=name) for _ in range(self.busy)]
        ends = [self._end_of_one(job.exception) for job in jobs]
        deepest = 0
        for number, job in enumerate(jobs):
            places: list[tuple[int, int | None]] = []
            with suppress(GradioError):  # how it ended is known
                places += (one for one in map(_place_of, job.updates()) if one is not None)
            self._heard.append(f"job {number}: {places}, {ends[number]}")
            check_places(number, places)
            deepest = max([deepest, *(rank + 1 for rank, _ in places)])
        if set(ends) == {_FULL}:
            raise Wrong(f"The queue is full for all of {len(jobs)} jobs.")
        said = ", ".join(f"{ends.count(end)} of {end}" for end in sorted(set(ends)))
        again = _end_of(client, endpoint, data)
        return f"{len(jobs)} jobs of {name}: {said}; up to {deepest} waited. Behind them: {again}"

    def _end_of_one(self, exception: Callable[[], BaseException | None]) -> str:
        """How a job ended. That the queue is full has to be said as this release does."""
        error = exception()
        if self._version >= (4, 9, 1) and isinstance(error, QueueFullError):
            if error.status == 503 and "Queue is full" in str(error):
                return _FULL
            raise Wrong(f"A full queue is answered {error.status}, {error}, and not 503.")
        return _how(exception)

    def _reset(self, client: Client, functions: Sequence[tuple[Endpoint, list[Any]]]) -> str | None:
        if not functions:
            return None
        endpoint, data = functions[0]
        before = client.session_hash
        client.reset_session()
        if client.session_hash == before:
            raise Wrong("The session has kept its name.")
        return f"In a new session: {_end_of(client, endpoint, data)}"

    def _cancel(self, functions: Sequence[tuple[Endpoint, list[Any]]]) -> str | None:
        """Stop a generator at its first output."""
        for endpoint, data in functions:
            if not endpoint.is_generator or not endpoint.queue:
                continue
            with self._client() as client:
                job = client.submit(*data, api_name=str(endpoint.api_name))
                try:
                    next(iter(job), None)
                except GradioError:
                    continue
                if not job.cancel():
                    continue  # it was quicker
                until = time.monotonic() + STOPS
                while job.stopped_on_server is None and time.monotonic() < until:
                    time.sleep(0.05)
                said = _ANSWERS[job.stopped_on_server]
                again = _end_of(client, endpoint, data)
                return f"{endpoint.api_name}: {said}. The next call in that session: {again}"
        return None

    # Requests by hand

    def _unknown_session(self) -> str:
        """The stream of a session that nobody has joined."""
        path = f"queue/data?session_hash=conform{time.monotonic_ns()}"
        status, text = self._ask("GET", path, seconds=20.0)
        self._heard.append(f"{status} {text}")
        if status in (404, 500):
            return f"It is answered {status}."
        wanted = {"unexpected_error", "server_stopped"}
        kinds = [str(json.loads(line[5:]).get("msg")) for line in _data_lines(text)]
        if wanted.isdisjoint(kinds):
            raise Wrong(f"The stream of an unknown session says {kinds}, and no unexpected_error.")
        return "It is told unexpected_error."

    def _malformed(self) -> str:
        """A join whose body is no JSON."""
        status, text = self._ask("POST", "queue/join", b"{", "application/json")
        self._heard.append(f"{status} {text}")
        if status != 422:
            raise Wrong(f"A join that is no JSON is answered {status}, and not 422.")
        return "It is answered 422."

    def _heartbeat(self) -> str:
        """The sign of life of a session comes at once."""
        _, text = self._ask("GET", f"heartbeat/conform{time.monotonic_ns()}", seconds=3.0)
        self._heard.append(text)
        if not any(line[5:].strip() == "ALIVE" for line in _data_lines(text)):
            raise Wrong(f"It says {_cut(text)}, and not ALIVE.")
        return "ALIVE comes at once."

    def _ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        kind: str | None = None,
        *,
        seconds: float = 20.0,
    ) -> tuple[int, str]:
        """A request, and what comes of its answer within so many seconds."""
        url = urllib.parse.urlsplit(self.url)
        prefix = "gradio_api/" if self._version >= (5,) else ""
        secure = url.scheme == "https"
        make = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = make(str(url.hostname), url.port, timeout=seconds)
        parts: list[bytes] = []
        try:
            headers = {} if kind is None else {"Content-Type": kind}
            target = f"{url.path.rstrip('/')}/{prefix}{path}"
            connection.request(method, target, body, headers)
            answer = connection.getresponse()
            until = time.monotonic() + seconds
            while time.monotonic() < until and (data := answer.read1(65536)):
                parts.append(data)
            return answer.status, b"".join(parts).decode("utf-8", "replace")
        except (TimeoutError, http.client.IncompleteRead):
            return 200, b"".join(parts).decode("utf-8", "replace")
        except OSError as error:
            raise Wrong(f"{method} {path}: {error}") from error
        finally:
            connection.close()

    # Which release it is like

    def _compare(self) -> None:
        """Compare the keys of its messages with those of each release."""
        fitting = [text for text in _RELEASES if self._is_like(version_numbers(text))]
        said = self._version_text or "no release"
        self.like = f"{fitting[0]} to {fitting[-1]}" if fitting else "no release"
        is_within = not fitting or (
            version_numbers(fitting[0]) <= self._version
            and self._version[:2] <= version_numbers(fitting[-1])[:2]
        )
        if not self._seen:
            self._note("release", "R-message-1", "skipped", f"It says {said}; no message was seen.")
        elif is_within and fitting:
            what = f"It says {said}, and its messages are like those of {self.like}."
            self._note("release", "R-message-1", "passed", what)
        else:
            what = f"It says {said}, but its messages are like those of {self.like}."
            self._note("release", "R-message-1", "failed", what)

    def _is_like(self, version: Version) -> bool:
        for name, keys in self._seen.items():
            for key in keys & set(KINDS[name].keys):
                row = MESSAGE_KEYS[key]
                is_there = not row.since or version_numbers(row.since) <= version
                if not is_there or (row.gone and version_numbers(row.gone) <= version):
                    return False
        return True


# Where keys of messages come or go, and the newest release that was looked at.
_RELEASES: Final = tuple(
    sorted(
        {
            *("3.1.5", "3.50.2", "6.31.0"),
            *(row.since for row in MESSAGE_KEYS.values() if row.since),
            *(row.gone for row in MESSAGE_KEYS.values() if row.gone),
        },
        key=version_numbers,
    )
)


# What a server says to a cancel. Releases differ, and some say nothing.
_ANSWERS: Final = {True: "it was stopped", False: "it was not stopped", None: "no word of it came"}


class Wrong(Exception):
    """What the server did wrong. ``rule``: another one than that of the case."""

    def __init__(self, what: str, rule: str = "") -> None:
        super().__init__(what)
        self.rule = rule


def _arguments(endpoint: Endpoint) -> list[Any] | None:
    """Arguments for a function that nobody knows; None: they cannot be made up."""
    made: list[Any] = []
    for parameter in endpoint.parameters:
        component = str(parameter.info.get("component", "")).lower()
        example: Any = parameter.info.get("example_input")
        if parameter.has_default:
            made.append(parameter.default)
        elif component in ("number", "slider"):
            is_number = isinstance(example, int | float) and not isinstance(example, bool)
            made.append(example if is_number else 3)
        elif component in _SIMPLE:
            made.append(_SIMPLE[component])
        else:
            return None
    return made


def _end_of(client: Client, endpoint: Endpoint, data: list[Any]) -> str:
    return _how(client.submit(*data, api_name=str(endpoint.api_name)).exception)


_FULL: Final = "a full queue"


def _place_of(update: object) -> tuple[int, int | None] | None:
    """The place in the queue that a status tells, and how many there are; None: it tells none."""
    if not isinstance(update, StatusUpdate) or not is_a(update["rank"], int):
        return None
    return update["rank"], update["queue_size"]


def check_places(number: int, places: Sequence[tuple[int, int | None]]) -> None:
    """A job only moves forward, and its place is one of the queue's."""
    before: int | None = None
    for rank, size in places:
        if rank < 0 or (size is not None and rank >= size):
            raise Wrong(f"Job {number} has place {rank} of {size}.", "R-message-1")
        if before is not None and rank > before:
            raise Wrong(f"Job {number} moved back, from {before} to {rank}.", "R-message-1")
        before = rank


def _how(exception: Callable[[], BaseException | None]) -> str:
    """How a call ended: "a result", a full queue, or that the app failed. Other errors are
    raised."""
    error = exception()
    if error is None:
        return "a result"
    if isinstance(error, QueueFullError):
        return _FULL
    if isinstance(error, AppError):
        return "an error of the app"
    raise error


def _data_lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("data:")]


def _counted(kinds: Sequence[str]) -> Iterator[str]:
    """The kinds of messages, each row of one kind as one word."""
    place = 0
    while place < len(kinds):
        end = place
        while end < len(kinds) and kinds[end] == kinds[place]:
            end += 1
        count = end - place
        yield kinds[place] if count == 1 else f"{kinds[place]} ({count})"
        place = end


def _cut(value: Any, size: int = 300) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= size else f"{text[:size]}…"
