"""What endpoints take and return, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from sansio_gradio.protocol.binding import copied
from sansio_gradio.protocol.endpoints import Endpoint
from sansio_gradio.protocol.parameters import Parameter, ReturnValue, plain

_WIDTH: Final = 120


def as_text(endpoints: Iterable[Endpoint], version: str | None) -> str:
    """One paragraph an endpoint::

    predict(n: float = 5, api_name="/count") -> str
        Counts to n.
        n        Number "How far"
        returns  Textbox "Numbers"
    """
    paragraphs = [_paragraph(endpoint) for endpoint in endpoints]
    number = "one endpoint" if len(paragraphs) == 1 else f"{len(paragraphs) or 'no'} endpoints"
    return "\n\n".join(
        [f"Gradio {plain(version or 'of unknown version', _WIDTH)}, {number}", *paragraphs]
    )


def _paragraph(endpoint: Endpoint) -> str:
    rows: list[tuple[str, ReturnValue]] = [(p.name, p) for p in endpoint.parameters]
    rows += [("returns", value) for value in endpoint.returns]
    width = max((len(word) for word, _ in rows), default=0)
    lines = [str(endpoint), *(plain(row, _WIDTH) for row in endpoint.description.splitlines())]
    lines += [f"{word:{width}}  {_component(value)}" for word, value in rows]
    return "\n    ".join(lines)


def _component(value: ReturnValue) -> str:
    description = f": {value.description}" if value.description else ""
    return plain(f'{value.component} "{value.label}"{description}', _WIDTH)


def as_dict(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """The same in the form of ``/info``, sharing nothing with the endpoints."""
    named: dict[str, Any] = {}
    unnamed: dict[str, Any] = {}
    for endpoint in endpoints:
        entry = {
            "parameters": [_parameter(parameter) for parameter in endpoint.parameters],
            "returns": [_return(value) for value in endpoint.returns],
            "description": endpoint.description,
            "api_visibility": str(endpoint.visibility),
        }
        if endpoint.api_name is None:
            unnamed[str(endpoint.fn_index)] = entry
        else:
            named.setdefault(endpoint.api_name, entry)
    return {"named_endpoints": named, "unnamed_endpoints": unnamed}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "label": parameter.label,
        "parameter_name": parameter.name,
        "parameter_has_default": parameter.has_default,
        "parameter_default": copied(parameter.default),
        **_return(parameter),
        "example_input": copied(parameter.example),
    }


def _return(value: ReturnValue) -> dict[str, Any]:
    return {
        "label": value.label,
        "type": copied(value.type),
        "python_type": {"type": value.python_type, "description": value.description},
        "component": value.component,
    }
