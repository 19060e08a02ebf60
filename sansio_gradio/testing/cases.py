"""What any client of Gradio apps has to get right, as data.

A ``Scenario`` is a function of an app, a call of it, and what its caller must be given. A ``Case``
is a scenario on one release of Gradio, said in one legal way (``Variation``). ``cases`` lists them,
``app_of`` makes the app that answers, and ``complaint`` judges what a client made of it. Nothing
here does I/O: ``ClientContract`` runs the cases as tests, and others may run them as they like.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, cast

import attrs

from sansio_gradio.errors import AppError
from sansio_gradio.protocol.features import version_numbers
from sansio_gradio.protocol.protocols import Channel, traits_of
from sansio_gradio.server.app import App, Slot
from sansio_gradio.server.components import JSON, NUMBER, STATE, TEXTBOX, ComponentKind
from sansio_gradio.server.contents import File
from sansio_gradio.server.run import Run
from sansio_gradio.server.versions import protocol_of
from sansio_gradio.testing.relay import PLAIN, Variation

__all__ = [
    "SCENARIOS",
    "TOGETHER",
    "VARIATIONS",
    "VERSIONS",
    "Case",
    "Heard",
    "Scenario",
    "app_of",
    "cases",
    "complaint",
]

VERSIONS: Final = ("3.50.2", "4.0.2", "4.16.0", "4.19.2", "4.44.1", "6.31.0")
"""A release of each protocol that still runs somewhere, and two of the newest."""

_LIST: Final = ComponentKind(kind="chatbot", schema={"type": "array"}, python_type="list")
"""A component whose lists are sent as edits: those of JSON are sent whole from 4.31.3 on."""


@attrs.frozen(kw_only=True)
class Scenario:
    """A function of an app, a call of it, and what its caller must be given.

    ``gives``: what it yields, one list a yield; a function that does not yield gives one, and
    returns it. Each list has an item for each of ``returns``. ``fails``: what it raises in the end.
    ``rule``: an anchor of docs/protocol.md.
    """

    name: str
    rule: str
    says: str
    """What a client does right here, in a few words."""
    takes: tuple[ComponentKind, ...] = (TEXTBOX,)
    data: tuple[Any, ...] = ("x",)
    """What is sent, one item for each of ``takes`` that is no State."""
    returns: tuple[ComponentKind, ...] = (TEXTBOX,)
    gives: tuple[tuple[Any, ...], ...] = ()
    yields: bool = False
    fails: BaseException | None = None
    notices: tuple[str, ...] = ()
    """What it logs, and makes a step of progress for."""
    queue: bool = True
    is_full: bool = False
    """Nobody may wait in this app's queue."""

    @property
    def api_name(self) -> str:
        return f"/{self.name}"

    @property
    def error(self) -> str | None:
        """What the text of the caller's error must have in it; None: there is no error."""
        if self.is_full:
            return ""
        if self.fails is None:
            return None
        return str(self.fails) if isinstance(self.fails, AppError) else ""

    @property
    def outputs(self) -> tuple[list[Any], ...]:
        """What it yields, as its caller sees it."""
        return tuple(self._seen(one) for one in self.gives) if self.yields else ()

    @property
    def result(self) -> list[Any] | None:
        """What it returns, as its caller sees it; None: it fails."""
        return None if self.error is not None else self._seen(self.gives[-1])

    def _seen(self, values: tuple[Any, ...]) -> list[Any]:
        pairs = zip(values, self.returns, strict=True)
        return [value for value, kind in pairs if kind is not STATE]


def _yields(name: str, rule: str, says: str, *values: Any, **how: Any) -> Scenario:
    """A scenario of one output."""
    gives = tuple((value,) for value in values)
    return Scenario(name=name, rule=rule, says=says, gives=gives, yields=True, **how)


_TEXT: Final = 'Grüße, "quoted", back\\slash, tab\t, two\nlines, 🦜, \u2028, </script>'
_EMPTY: Final[dict[str, Any]] = {}
_NESTED: Final = {
    "a": [1, {"b": [None, True, False, _EMPTY]}, list[Any]()],
    "": {"c": [[["deep"]]]},
    "n": -0.5,
}
_TEN: Final = [f"row {number}" for number in range(10)]
_TABLE: Final = {"rows": [{"id": n, "cells": ["a", "b", "c"]} for n in range(6)], "title": "t"}

SCENARIOS: Final = (
    Scenario(
        name="text", rule="R-http-1", says="sends and reads texts", data=(_TEXT,), gives=((_TEXT,),)
    ),
    Scenario(
        name="json",
        rule="R-http-4",
        says="sends and reads any JSON",
        takes=(JSON, NUMBER),
        data=(_NESTED, 2**53 - 1),
        returns=(JSON, JSON),
        gives=((_NESTED, [0, -1, 1.5, 1e300, 2**53 - 1, True, None, ""]),),
    ),
    Scenario(
        name="null",
        rule="R-data-3",
        says="tells null from nothing",
        returns=(JSON,),
        gives=((None,),),
    ),
    Scenario(
        name="several",
        rule="R-data-3",
        says="keeps the order of arguments and of outputs",
        takes=(TEXTBOX, NUMBER, TEXTBOX),
        data=("first", 2, "third"),
        returns=(NUMBER, TEXTBOX, JSON),
        gives=((1, "two", [3]),),
    ),
    Scenario(
        name="nothing",
        rule="R-data-3",
        says="bears a function without outputs",
        returns=(),
        gives=((),),
    ),
    Scenario(
        name="state",
        rule="R-data-4",
        says="leaves out State, in arguments and in outputs",
        takes=(TEXTBOX, STATE, TEXTBOX),
        data=("a", "b"),
        returns=(STATE, TEXTBOX),
        gives=(("kept", "seen"),),
    ),
    Scenario(
        name="plain",
        rule="R-config-6",
        says="calls a function that is not queued",
        queue=False,
        gives=(("at once",),),
    ),
    _yields(
        "growing",
        "R-edit-2",
        "gives each yield of a growing text whole",
        *["abcdefgh"[:end] for end in range(1, 9)],
    ),
    _yields(
        "same", "R-message-2", "gives each yield, also one that changes nothing", "a", "a", "b", "b"
    ),
    _yields(
        "changing",
        "R-edit-2",
        "gives values that change their type",
        "text",
        7,
        None,
        ["list"],
        {"an": "object"},
        "text",
        returns=(_LIST,),
    ),
    _yields(
        "growing_list",
        "R-edit-2",
        "gives each yield of a growing list whole",
        *[_TEN[:end] for end in (1, 2, 5, 10)],
        returns=(_LIST,),
    ),
    _yields(
        "shrinking_list",
        "R-edit-1",
        "gives lists that lose several items",
        _TEN,
        _TEN[:6],
        [_TEN[1], _TEN[4]],
        [],
        _TEN[:3],
        ["row 2"],
        returns=(_LIST,),
    ),
    _yields(
        "shrinking_inside",
        "R-edit-1",
        "gives objects that lose keys, and lists inside them that lose several items",
        _TABLE,
        {"rows": [{"id": n, "cells": ["a"]} for n in range(3)]},
        {"rows": [{"id": 2}], "title": "u", "a/b": {"~": 1}},
        {"a/b": {}},
        returns=(_LIST,),
    ),
    Scenario(
        name="two_outputs",
        rule="R-data-3",
        says="keeps the edits of each output apart",
        returns=(TEXTBOX, _LIST),
        yields=True,
        gives=(("a", [1]), ("ab", [1]), ("ab", [1, 2]), ("", []), ("c", [3])),
    ),
    Scenario(
        name="yields_state",
        rule="R-data-4",
        says="leaves out State in each yield",
        takes=(TEXTBOX, STATE),
        returns=(TEXTBOX, STATE),
        yields=True,
        gives=(("a", 1), ("ab", 1), ("abc", 2)),
    ),
    Scenario(
        name="error", rule="R-end-1", says="tells the app's error", fails=AppError("the cat is out")
    ),
    Scenario(
        name="hidden_error",
        rule="R-end-1",
        says="tells an error that has no text",
        fails=ValueError("a secret"),
    ),
    _yields(
        "half",
        "R-end-2",
        "hands out what was yielded before an error, and tells the error",
        "a",
        "ab",
        fails=AppError("half way"),
    ),
    Scenario(
        name="full",
        rule="R-end-1",
        says="tells that the queue is full",
        is_full=True,
        gives=(("never",),),
    ),
    Scenario(
        name="notices",
        rule="R-message-1",
        says="bears notices and progress, and hands them out if it tells the status",
        notices=("one of two", "two of two"),
        gives=(("done",),),
    ),
)

_SOCKETS: Final = frozenset({Channel.WEBSOCKET})
_STREAMS: Final = frozenset({Channel.JOB_STREAM, Channel.SESSION_STREAM})
_SESSIONS: Final = frozenset({Channel.SESSION_STREAM})

VARIATIONS: Final = (
    PLAIN,
    Variation(name="unknown keys", rule="R-message-1", unknown_keys=True),
    Variation(name="unknown messages", rule="R-message-1", unknown_messages=True),
    Variation(name="late messages", rule="R-message-4", late_messages=True),
    Variation(name="foreign jobs", rule="R-stream-4", channels=_SESSIONS, foreign_jobs=True),
    Variation(name="heartbeats", rule="R-stream-5", channels=_SESSIONS, heartbeats=True),
    Variation(name="CRLF", rule="R-stream-6", channels=_STREAMS, line_end=b"\r\n"),
    Variation(name="CR", rule="R-stream-6", channels=_STREAMS, line_end=b"\r"),
    Variation(name="comments", rule="R-stream-6", channels=_STREAMS, comments=True),
    Variation(name="split data", rule="R-stream-6", channels=_STREAMS, split_data=True),
    Variation(
        name="odd stream",
        rule="R-stream-6",
        channels=_STREAMS,
        no_space=True,
        byte_order_mark=True,
        other_fields=True,
    ),
    Variation(name="pings", rule="R-ws-6", channels=_SOCKETS, pings=True),
    Variation(name="fragments", rule="R-ws-7", channels=_SOCKETS, fragments=5, pings=True),
    Variation(name="odd JSON", rule="R-http-1", ascii=True, spaces=True, reversed_keys=True),
    Variation(name="small chunks", rule="R-http-1", chunk=3),
    Variation(name="small pieces", rule="R-http-1", piece=5),
    Variation(name="closing", rule="R-http-1", closes=True, capital_headers=True),
)

TOGETHER: Final = Variation(
    name="join answered last", rule="R-join-2", channels=_SESSIONS, join_answered_last=True
)
"""For several jobs at once."""

_VARIED: Final = ("growing", "shrinking_list", "half")
"""The scenarios that are played in every variation; the others are played as they are."""


@attrs.frozen(kw_only=True)
class Case:
    """A scenario, on one release of Gradio, said in one legal way."""

    scenario: Scenario
    version: str
    variation: Variation = PLAIN

    @property
    def name(self) -> str:
        """Its name among those of the same release."""
        varied = "" if self.variation is PLAIN else f", {self.variation.name}"
        return f"{self.scenario.name}{varied}"

    @property
    def rule(self) -> str:
        """What a client violates that fails here and nowhere else."""
        return (self.scenario if self.variation is PLAIN else self.variation).rule

    def __str__(self) -> str:
        return f"{self.version}-{self.name}"


def cases(versions: Sequence[str] = VERSIONS) -> Iterator[Case]:
    """All cases on these releases.

    Raises:
        ValueError: one of them is no release that can be served.
    """
    for version in versions:
        channel = traits_of(protocol_of(version_numbers(version))).channel
        for scenario in SCENARIOS:
            for variation in VARIATIONS if scenario.name in _VARIED else (PLAIN,):
                if channel in variation.channels:
                    yield Case(scenario=scenario, version=version, variation=variation)


def app_of(scenarios: Sequence[Scenario], version: str, **options: Any) -> App:
    """An app with the functions of these scenarios, which checks what they are called with."""
    full = any(scenario.is_full for scenario in scenarios)
    app = App(version=version, max_size=0 if full else None, concurrency_limit=None, **options)
    for scenario in scenarios:
        parameters = [Slot(name=f"p{n}", component=kind) for n, kind in enumerate(scenario.takes)]
        app.add(
            scenario.name,
            call=_function(scenario),
            parameters=parameters,
            returns=[Slot(name=f"r{n}", component=kind) for n, kind in enumerate(scenario.returns)],
            generator=scenario.yields,
            queue=scenario.queue,
            run_parameter=None if scenario.yields else "run",
        )
    return app


def _function(scenario: Scenario) -> Callable[..., Any]:
    def check(given: dict[str, Any]) -> None:
        kinds = zip(given.values(), scenario.takes, strict=True)
        got = [value for value, kind in kinds if kind is not STATE]
        if not same(got, list(scenario.data)):
            sent = json.dumps(list(scenario.data))
            raise AppError(f"The server was sent {json.dumps(got)}, and not {sent}.")

    def give(values: tuple[Any, ...]) -> Any:
        return values[0] if len(values) == 1 else values

    def returning(*, run: Run, **given: Any) -> Any:
        check(given)
        for notice in scenario.notices:
            run.info(notice)
            run.progress(0.5, desc=notice)
        if scenario.fails is not None:
            raise scenario.fails
        return give(scenario.gives[0])

    def yielding(**given: Any) -> Iterator[Any]:
        check(given)
        for values in scenario.gives:
            yield give(values)
        if scenario.fails is not None:
            raise scenario.fails

    return yielding if scenario.yields else returning


@attrs.define
class Heard:
    """What a client gave its caller for one call.

    ``outputs``: a list of values for each yield; None: this client gives results only. ``result``:
    a list of values; None: there was none. ``error``: the text of the error; None: there was none.
    ``statuses``: dicts, with ``log`` as in ``StatusUpdate``, if it tells the status.
    """

    outputs: list[Any] | None = attrs.field(factory=list[Any])
    statuses: list[dict[str, Any]] | None = None
    result: Any = None
    error: str | None = None


def complaint(scenario: Scenario, heard: Heard) -> str | None:
    """What is wrong with what a client gave its caller; None: nothing."""
    if scenario.error is None and heard.error is not None:
        return f"It tells an error, and the app had none: {heard.error}"
    if scenario.error is not None and heard.error is None:
        return f"It tells no error. It gives the result {_shown(heard.result)}."
    if scenario.error is not None and heard.error is not None and scenario.error not in heard.error:
        return f"Its error does not say {scenario.error!r}, which the app said: {heard.error}"
    wrong = _wrong_outputs(scenario, heard.outputs)
    if wrong is None and scenario.result is not None and not same(heard.result, scenario.result):
        wrong = f"It gives the result {_shown(heard.result)}, and not {_shown(scenario.result)}."
    if wrong is None and heard.statuses is not None:
        logged = [str(one["log"][0]) for one in heard.statuses if one.get("log")]
        if scenario.queue and logged != list(scenario.notices):
            wrong = f"Its statuses have the notices {logged}, and not {list(scenario.notices)}."
    return wrong


def _wrong_outputs(scenario: Scenario, outputs: list[Any] | None) -> str | None:
    if outputs is None:
        return None
    expected = list(scenario.outputs)
    if not scenario.yields and len(outputs) == 1:
        expected = [scenario.result or []]  # it may be handed out as an output, too
    for place, (got, right) in enumerate(zip(outputs, expected, strict=False), 1):
        if not same(got, right):
            return f"Its output {place} is {_shown(got)}, and not {_shown(right)}."
    if len(outputs) != len(expected):
        return f"It gives {len(outputs)} outputs, and the app yielded {len(expected)} times."
    return None


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON: True is not 1, and 1 may be 1.0. Files are the same if
    their bytes are."""
    if isinstance(one, File) and isinstance(other, File):
        return one.read() == other.read()
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        one, other = cast("dict[str, Any]", one), cast("dict[str, Any]", other)
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        one, other = cast("list[Any]", one), cast("list[Any]", other)
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, int | float) and isinstance(other, int | float):
        return one == other
    return isinstance(one, str | None) and one == other


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= 400 else f"{text[:400]}…"
