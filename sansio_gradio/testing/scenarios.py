"""What an app does in a test, and what a client must make of it, as data.

A scenario is one call (or several at once). It says what the function does, step by step, and what
the caller must get. How the server says it on the wire is the server role's; ``changes`` has what
may be different about that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

import attrs

from sansio_gradio.errors import AppError
from sansio_gradio.protocol.features import version_numbers
from sansio_gradio.server.app import Slot
from sansio_gradio.server.components import FILE, JSON, TEXTBOX, ComponentKind
from sansio_gradio.server.contents import File
from sansio_gradio.server.versions import covers
from sansio_gradio.testing import cases

__all__ = [
    "SCENARIOS",
    "Can",
    "Hold",
    "Logs",
    "Progresses",
    "Raises",
    "Returns",
    "StagedScenario",
    "Step",
    "Yield",
]

Can: TypeAlias = Literal["cancel", "status", "jobs", "files"]
"""What a client may be able to do besides calling one function."""


@attrs.frozen
class Yield:
    """The function yields: one item for each result, State included."""

    data: tuple[Any, ...]


@attrs.frozen
class Returns:
    """The function ends well. None: its last yield is its result."""

    data: tuple[Any, ...] | None = None


@attrs.frozen
class Raises:
    error: BaseException


@attrs.frozen
class Progresses:
    index: int
    length: int
    desc: str


@attrs.frozen
class Logs:
    text: str


@attrs.frozen
class Hold:
    """The function waits for the other job of the same scenario to end; alone: for ever."""


Step: TypeAlias = Yield | Returns | Raises | Progresses | Logs | Hold


@attrs.frozen(kw_only=True)
class StagedScenario:
    """One call, and what must become of it.

    ``rule``: the rule that is broken if a client fails although nothing is changed on the wire; one
    by releases where that differs. ``data``: the arguments, without State. ``outputs`` and
    ``result`` are what the caller gets, State left out. ``error``: what the text of the error must
    contain; "" for any error; None: the call ends well. ``releases``: as in ``server.versions``.
    ``twin``: a second call at the same time, by the same client. ``notices``: texts of which the
    statuses of the job tell. A ``File`` in ``data`` is one that the client has to upload, and in
    ``result`` one that it has to download.
    """

    name: str
    rule: str | Mapping[str, str]
    says: str
    data: Sequence[Any] = ()
    steps: Sequence[Step]
    parameters: Sequence[Slot] = ()
    returns: Sequence[Slot] = (Slot(name="value", component=TEXTBOX),)
    generator: bool = False
    queue: bool = True
    outputs: Sequence[Sequence[Any]] = ()
    result: Sequence[Any] | None = None
    error: str | None = None
    is_cancelled: bool = False
    releases: str = ""
    needs: Can | None = None
    twin: StagedScenario | None = None
    notices: Sequence[str] = ()

    @property
    def sent(self) -> list[Any]:
        """The ``data`` of the call on the wire: null for each State."""
        given = iter(self.data)
        return [None if slot.is_state else next(given) for slot in self.parameters]

    def is_in(self, version: str) -> bool:
        """Whether that release can do it. Generators came with 3.3."""
        numbers = version_numbers(version)
        return covers(self.releases, numbers) and (not self.generator or numbers >= (3, 3))

    def rule_in(self, version: str) -> str:
        """The rule in that release."""
        if isinstance(self.rule, str):
            return self.rule
        numbers = version_numbers(version)
        return next(rule for releases, rule in self.rule.items() if covers(releases, numbers))


def _text(*names: str) -> tuple[Slot, ...]:
    return tuple(Slot(name=name, component=TEXTBOX) for name in names)


_WHOLE: Final = {"<4.0": "R-ws-4", "<4.9": "R-message-2", "<4.17": "R-v1-1"}
"""Which rule says that yields are whole, in the releases without edits."""


def _yielding(
    name: str, rule: str, says: str, values: Sequence[Any], **more: Any
) -> StagedScenario:
    """A generator of one result, whose yields are *values*."""
    steps: list[Step] = [Yield((value,)) for value in values]
    outputs = [[value] for value in values]
    given: dict[str, Any] = {"outputs": outputs, "result": outputs[-1] if outputs else [None]}
    return StagedScenario(
        name=name,
        rule={**_WHOLE, "": rule},
        says=says,
        steps=(*steps, Returns()),
        generator=True,
        parameters=_text("text"),
        data=["x"],
        **{**given, **more},
    )


def _case(case: cases.Scenario) -> StagedScenario:
    """A scenario of ``ClientContract``."""
    steps: list[Step] = []
    for place, text in enumerate(case.notices):
        steps += [Logs(text), Progresses(place, len(case.notices), text)]
    if case.yields:
        steps += [Yield(data) for data in case.gives]
    if case.fails is not None:
        steps.append(Raises(case.fails))
    else:
        steps.append(Returns() if case.yields else Returns(case.gives[0]))
    diffless = {**_WHOLE, "": case.rule}
    return StagedScenario(
        name=case.name,
        rule=diffless if case.rule.startswith("R-edit") else case.rule,
        says=f"A client {case.says}.",
        data=case.data,
        steps=steps,
        parameters=_slots(case.takes),
        returns=_slots(case.returns),
        generator=case.yields,
        queue=case.queue,
        outputs=case.outputs,
        result=case.result,
        error=case.error,
        releases=">=3.36" if case.notices else "",
    )


def _slots(kinds: Sequence[ComponentKind]) -> list[Slot]:
    return [Slot(name=f"slot_{place}", component=kind) for place, kind in enumerate(kinds)]


def _job(name: str, text: str, *steps: Step) -> StagedScenario:
    """One of two calls at once. Both are calls of one function."""
    return StagedScenario(
        name=name,
        rule="R-stream-4",
        says="",
        parameters=_text("text"),
        data=[text],
        steps=steps,
        generator=any(isinstance(step, Yield) for step in steps),
        result=[f"{text} is done"],
        needs="jobs",
    )


_SLOWER: Final = _job("jobs", "first", Hold(), Returns(("first is done",)))
_QUICKER: Final = _job("jobs", "second", Returns(("second is done",)))
_LONGER: Final = _job(
    "generators", "first", Yield(("first 1",)), Hold(), Yield(("first is done",)), Returns()
)
_SHORTER: Final = _job(
    "generators", "second", Yield(("second 1",)), Yield(("second is done",)), Returns()
)

_RAISING: Final = StagedScenario(
    name="raise",
    rule="R-end-1",
    says="A function raises an error that it shows: the caller gets its text.",
    parameters=_text("text"),
    data=["a"],
    steps=(Raises(AppError('The model is "loading", isn\'t it?')),),
    error='The model is "loading", isn\'t it?',
)

_ODD_NAME: Final = "Grüße, 日本 50% (1).txt"
_MEGABYTE: Final = bytes(range(256)) * 4096


def _given_files(name: str, rule: str, says: str, *files: File) -> StagedScenario:
    """A function of files."""
    return StagedScenario(
        name=name,
        rule=rule,
        says=says,
        parameters=_slots([FILE] * len(files)),
        data=files,
        steps=(Returns(("it has come",)),),
        result=["it has come"],
        releases=">=3.19",
        needs="files",
    )


def _made_files(name: str, says: str, *files: File) -> StagedScenario:
    """A function that returns files."""
    return StagedScenario(
        name=name,
        rule="R-file-8",
        says=says,
        returns=_slots([FILE] * len(files)),
        steps=(Returns(files),),
        result=files,
        releases=">=3.19",
        needs="files",
    )


_FILES: Final = (
    _given_files("file", "R-file-1", "A file is an argument.", File("note.txt", b"a\r\nb\0\xff")),
    _given_files(
        "file_named",
        "R-file-2",
        "The name of a file has spaces, and letters that are not ASCII.",
        File(_ODD_NAME, b"named"),
    ),
    _given_files("file_empty", "R-file-1", "A file is empty.", File("empty.txt", b"")),
    _given_files("file_large", "R-file-1", "A file has a megabyte.", File("l.bin", _MEGABYTE)),
    _given_files(
        "files",
        "R-file-1",
        "Two files are arguments, and keep their order.",
        File("b.txt", b"the first"),
        File("a.txt", b"the second"),
    ),
    _made_files("made_file", "A file is a result.", File("note.txt", b"a\r\nb\0\xff")),
    _made_files(
        "made_file_named",
        "The name of a file in a result has spaces, and letters that are not ASCII.",
        File(_ODD_NAME, b"named"),
    ),
    _made_files("made_file_empty", "A file in a result is empty.", File("empty.txt", b"")),
    _made_files("made_file_large", "A file in a result has a megabyte.", File("l.bin", _MEGABYTE)),
    _made_files(
        "made_files",
        "Two files are results.",
        File("b.txt", b"the first"),
        File("b.txt", b"the second"),
    ),
    StagedScenario(
        name="no_file",
        rule="R-file-7",
        says="An object of the app has a path, and is no file.",
        returns=(Slot(name="value", component=JSON),),
        steps=(Returns(({"path": "conform/no/file", "size": 3},)),),
        result=[{"path": "conform/no/file", "size": 3}],
        releases=">=4.21",
        needs="files",
    ),
)

SCENARIOS: Final[Sequence[StagedScenario]] = (
    _yielding(
        "silent",
        "R-message-2",
        "A generator yields nothing: its result is null.",
        [],
        releases=">=3.6",
    ),
    StagedScenario(
        name="falsy",
        rule="R-data-3",
        says="Results that count as false in many languages are results.",
        returns=tuple(Slot(name=f"value_{place}", component=JSON) for place in range(6)),
        steps=(Returns((0, "", False, [], {}, None)),),
        result=[0, "", False, [], {}, None],
    ),
    StagedScenario(
        name="update",
        rule="R-data-5",
        says="An update of a component is no value: the caller gets its value.",
        parameters=_text("text"),
        data=["a"],
        steps=(
            Yield(({"__type__": "update", "value": "a", "label": "A"},)),
            Yield(({"__type__": "update", "value": "ab", "label": "A"},)),
            Returns(),
        ),
        generator=True,
        outputs=[["a"], ["ab"]],
        result=["ab"],
    ),
    *(_case(case) for case in cases.SCENARIOS if not case.is_full),
    attrs.evolve(_RAISING, name="quoted", rule="R-end-3", releases=">=3.1.5"),
    StagedScenario(
        name="unqueued_generator",
        rule={"<4.0": "R-plain-5", "": "R-plain-6"},
        says="A generator that is not queued: the result is its last yield.",
        parameters=_text("text"),
        data=["a"],
        steps=(Yield(("a",)), Yield(("ab",)), Returns()),
        generator=True,
        queue=False,
        outputs=[["a"], ["ab"]],
        result=["ab"],
        releases=">=3.6",
    ),
    StagedScenario(
        name="told",
        rule="R-message-1",
        says="Progress and notices reach the caller as statuses.",
        parameters=_text("text"),
        data=["a"],
        steps=(Progresses(1, 3, "warming up"), Logs("a notice"), Returns(("done",))),
        result=["done"],
        releases=">=3.36",
        needs="status",
        notices=("warming up", "a notice"),
    ),
    StagedScenario(
        name="large",
        rule={"<4.0": "R-ws-7", "": "R-stream-6"},
        says="A message of a megabyte.",
        parameters=_text("text"),
        data=["a"],
        steps=(Returns(("日" * 400_000,)),),
        result=["日" * 400_000],
    ),
    StagedScenario(
        name="cancel",
        rule={
            "<4.0": "R-ws-9",
            "<4.9": "R-sse-4",
            "<4.17": "R-v1-3",
            "<4.22": "R-v2-2",
            "<4.31": "R-cancel-10",
            "": "R-cancel-4",
        },
        says="The caller cancels a generator: it is over for the caller, and told to the server.",
        parameters=_text("text"),
        data=["a"],
        steps=(Yield(("a",)), Yield(("ab",)), Hold()),
        generator=True,
        outputs=[["a"], ["ab"]],
        is_cancelled=True,
        releases=">=3.6",
        needs="cancel",
    ),
    attrs.evolve(
        _SLOWER,
        rule={"<4.0": "R-ws-1", "<4.9": "R-sse-1", "": "R-stream-4"},
        says="Two jobs at once, of which the second ends first.",
        twin=_QUICKER,
    ),
    attrs.evolve(
        _LONGER,
        rule={"<4.0": "R-ws-10", "<4.9": "R-sse-1", "": "R-stream-4"},
        says="Two generators of one function at once.",
        twin=_SHORTER,
        releases=">=3.6",
    ),
    *_FILES,
)
