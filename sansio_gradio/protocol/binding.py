"""From the arguments of a call to the values of its parameters, as Python does it.

A call has all its mistakes told at once.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from inspect import Parameter as SignatureParameter
from inspect import Signature
from typing import Any, Final

from sansio_gradio.errors import LocalProtocolError
from sansio_gradio.protocol.parameters import Parameter, ReturnValue
from sansio_gradio.wire.json import JSON

_EITHER_WAY: Final = SignatureParameter.POSITIONAL_OR_KEYWORD
_BY_NAME: Final = SignatureParameter.KEYWORD_ONLY


def bind(
    parameters: Sequence[Parameter], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> list[Any]:
    """Return one value a parameter, defaults (copied) filled in.

    Raises:
        LocalProtocolError: arguments are missing, too many, given twice or of unknown names; the
            message names them all.
    """
    names = [parameter.name for parameter in parameters]
    values = dict(zip(names, args, strict=False))
    mistakes: list[str] = []
    if len(args) > len(names):
        mistakes.append(f"{_arguments(len(names))} by position at most, not {len(args)}")
    for name, value in kwargs.items():
        if name not in names:
            mistakes.append(f"there is no parameter {name!r}{did_you_mean(name, names)}")
        elif name in values:
            mistakes.append(f"{name!r} is given twice, by position and by name")
        else:
            values[name] = value
    missing = [p.name for p in parameters if p.name not in values and not p.has_default]
    if missing:
        mistakes.append(f"{', '.join(map(repr, missing))} must be given")
    if mistakes:
        raise LocalProtocolError("; ".join(mistakes))
    return [values[p.name] if p.name in values else copied(p.default) for p in parameters]


def signature_of(parameters: Sequence[Parameter], returns: Sequence[ReturnValue]) -> Signature:
    """The signature of a call; annotations are ``python_type``, as strings.

    In Python no required parameter may follow one with a default; such a one is shown as
    keyword-only, with all after it, though it is taken by position, too.
    """
    shown: list[SignatureParameter] = []
    optional = by_name = False
    for parameter in parameters:
        by_name = by_name or (optional and not parameter.has_default)
        optional = parameter.has_default
        shown.append(
            SignatureParameter(
                parameter.name,
                _BY_NAME if by_name else _EITHER_WAY,
                default=copied(parameter.default) if optional else SignatureParameter.empty,
                annotation=parameter.python_type,
            )
        )
    types = [value.python_type for value in returns]
    returned = types[0] if len(types) == 1 else f"tuple[{', '.join(types) or '()'}]"
    return Signature(shown, return_annotation=returned)


def copied(value: JSON) -> JSON:
    """A JSON value of our own, however deep it is."""
    cell: list[JSON] = [value]
    containers: list[Any] = [cell]
    while containers:
        container = containers.pop()
        steps: Any = container.keys() if hasattr(container, "keys") else range(len(container))
        for step in steps:
            if isinstance(container[step], list | dict):
                container[step] = container[step].copy()
                containers.append(container[step])
    return cell[0]


def did_you_mean(name: str, names: Sequence[str]) -> str:
    """A suggestion in brackets, if one of *names* is much like *name*."""
    close = difflib.get_close_matches(name, names, 1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _arguments(number: int) -> str:
    return "one argument" if number == 1 else f"{number} arguments"
