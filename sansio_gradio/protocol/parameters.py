"""The parameters and the return values of an endpoint.

Servers since 4.23 name an endpoint's parameters as the app's function does. For older servers, and
where ``/info`` has no entry (it does not exist before 3.26, and leaves out undocumented endpoints),
the name is made of the label that users see: ``Your name`` becomes ``your_name``, and a label
without any letter ``param_0``, by its position. Names are identifiers, and the second ``text`` of
an endpoint is ``text_2``.

Defaults come from ``/info`` since 4.23. For older servers all parameters are required: an empty
text box has a value, too, and taking it for a default would hide forgotten arguments.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterator, Sequence
from keyword import iskeyword
from typing import Any, Final
from unicodedata import normalize

import attrs

from sansio_gradio.protocol.components import Component
from sansio_gradio.protocol.fields import plain, said
from sansio_gradio.protocol.keys import ParameterKeys
from sansio_gradio.wire.json import JSON

_LONGEST_NAME: Final = 64
_LONGEST_TYPE: Final = 60
_FILES: Final = frozenset({"filepath", "list[filepath]"})
_NOT_IN_NAMES: Final = re.compile(r"\W+")


@attrs.frozen(kw_only=True)
class ReturnValue:
    """A value that an endpoint returns."""

    label: str
    component: str
    """The type of the component as ``/info`` spells it: ``Textbox``."""
    python_type: str
    """As a Python type (``list[float]``); ``Any`` if the server did not tell."""
    info: dict[str, Any] = attrs.field(repr=False)
    """The server's own entry: with its JSON schema, an example, ..."""

    def __str__(self) -> str:
        return plain(self.python_type, _LONGEST_TYPE)


@attrs.frozen(kw_only=True)
class Parameter(ReturnValue):
    """A value that an endpoint takes."""

    name: str
    has_default: bool
    default: Any

    @property
    def is_file(self) -> bool:
        """Whether ``/info`` says that it is a file, or a list of files."""
        return self.python_type in _FILES

    def __str__(self) -> str:
        """As in a signature: ``n: float = 5``."""
        default = f" = {reprlib.repr(self.default)}" if self.has_default else ""
        return f"{self.name}: {plain(self.python_type, _LONGEST_TYPE)}{default}"


def read_parameters(components: Sequence[Component], told: JSON) -> tuple[Parameter, ...]:
    """The parameters for *components*; *told* is their list in ``/info``, or None."""
    parts = _parts(components, told, "parameter")
    return tuple(
        Parameter(
            name=name,
            has_default=ParameterKeys.parameter_has_default.of(part) or False,
            default=part.get(ParameterKeys.parameter_default.name),
            **_read(part),
        )
        for name, part in zip(_names(parts), parts, strict=True)
    )


def read_returns(components: Sequence[Component], told: JSON) -> tuple[ReturnValue, ...]:
    """The return values for *components*; *told* is their list in ``/info``, or None."""
    return tuple(ReturnValue(**_read(part)) for part in _parts(components, told, "value"))


def _parts(components: Sequence[Component], told: JSON, word: str) -> list[dict[str, Any]]:
    """An entry for each component, in the form of ``/info``."""
    if isinstance(told, list) and len(told) == len(components):
        return [part if isinstance(part, dict) else {} for part in told]
    # One for each component, however often it is listed.
    known: dict[int, dict[str, Any]] = {
        id: {"label": c.label or f"{word}_{id}", "component": c.type.capitalize()}
        for id, c in {c.id: c for c in components}.items()
    }
    return [known[c.id] for c in components]


def _read(part: dict[str, Any]) -> dict[str, Any]:
    return {
        "label": ParameterKeys.label.of(part) or "",
        "component": ParameterKeys.component.of(part) or "",
        "python_type": said(ParameterKeys.python_type.of(part), "type", str) or "Any",
        "info": part,
    }


def _names(parts: Sequence[dict[str, Any]]) -> Iterator[str]:
    taken: dict[str, int] = {}
    for index, part in enumerate(parts):
        name = ParameterKeys.parameter_name.of(part) or ParameterKeys.label.of(part) or ""
        base = name = _identifier(name) or f"param_{index}"
        while name in taken:
            taken[base] += 1
            name = f"{base}_{taken[base]}"
        taken[name] = 1
        yield name


def _identifier(text: str) -> str | None:
    """*text* as the name of a parameter; None if no character of it can be in a name."""
    if len(text) > _LONGEST_NAME or not text.isidentifier():
        text = _NOT_IN_NAMES.sub("_", text[:_LONGEST_NAME]).strip("_").lower()
        text = f"_{text}" if text[:1].isdecimal() else text
    if text.isidentifier():
        text = normalize("NFKC", text)  # as Python reads names
    if iskeyword(text):
        return f"{text}_"
    return text if text.isidentifier() else None
