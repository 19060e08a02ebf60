"""One function of the app: what it takes, what it returns, how it is called."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from inspect import Signature
from typing import Any, Final

import attrs

from sansio_gradio.errors import LocalProtocolError, RemoteProtocolError
from sansio_gradio.protocol import binding
from sansio_gradio.protocol.components import Component
from sansio_gradio.protocol.fields import said, said_dict, said_list
from sansio_gradio.protocol.parameters import (
    Parameter,
    ReturnValue,
    plain,
    read_parameters,
    read_returns,
)
from sansio_gradio.wire.json import JSON

_LONGEST_NAME: Final = 100


class Visibility(enum.StrEnum):
    """Whom an endpoint is meant for (``api_visibility``, 6.0)."""

    PUBLIC = "public"
    UNDOCUMENTED = "undocumented"  # to be called, but not shown; show_api=False in 4.12 to 5.50
    PRIVATE = "private"  # not to be called by clients; api_name=False in 4.0 to 5.50


@attrs.frozen(kw_only=True)
class Endpoint:
    """A function of the app (a dependency, in Gradio's words).

    Until ``/info`` is there, parameters have names made of their labels, and neither types nor
    defaults.
    """

    fn_index: int
    """Its number on the wire. Since 4.32 this is its id, and need not be its place in the list."""
    api_name: str | None
    """With its slash: ``/predict``. None: it has no name, and is called by ``fn_index``."""
    inputs: tuple[int, ...]
    """Ids of all input components, State included."""
    outputs: tuple[int, ...]
    parameters: tuple[Parameter, ...]
    """One for each input that callers give."""
    returns: tuple[ReturnValue, ...]
    """One for each output that callers get."""
    visibility: Visibility
    queue: bool
    """It is called through the queue; else by a plain POST."""
    backend_fn: bool
    """It runs on the server; else in the browser only, and cannot be called."""
    is_generator: bool | None
    """It yields; None where the server does not tell (3.16 for one)."""
    connection: str
    """``stream``: it is fed chunk by chunk while it runs (5.0); else ``sse``."""
    time_limit: float | None
    """Seconds after which the server ends a stream."""
    batch: bool
    cancels: tuple[int, ...]
    """The functions whose jobs it cancels."""
    description: str
    hidden_inputs: frozenset[int]
    """Places in ``inputs`` that callers leave out, State for one."""
    hidden_outputs: frozenset[int]
    """Places in ``outputs`` that callers do not get."""

    def __str__(self) -> str:
        """How it is called and what it returns, in one line of Python."""
        target = (
            f"fn_index={self.fn_index}"
            if self.api_name is None
            else f'api_name="{plain(self.api_name, _LONGEST_NAME)}"'
        )
        takes = ", ".join([*map(str, self.parameters), target])
        gives = ", ".join(map(str, self.returns))
        return f"predict({takes}) -> {gives if len(self.returns) == 1 else f'({gives})'}"

    @property
    def signature(self) -> Signature:
        """As Python has it; annotations are strings (see ``binding.signature_of``)."""
        return binding.signature_of(self.parameters, self.returns)

    def needs_info(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
        """Whether only ``/info`` can tell what this call means: by names, or by defaults."""
        return bool(kwargs) or len(args) < len(self.parameters)

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
        """Return ``data`` as on the wire: one item an input, null for State and its like.

        Raises:
            LocalProtocolError: arguments are missing, too many, given twice or of unknown names;
                the message names them all, and shows how the call is made.
        """
        try:
            values = iter(binding.bind(self.parameters, args, kwargs))
        except LocalProtocolError as error:
            raise LocalProtocolError(
                f"These arguments do not fit: {error.message}. The call is: {self}"
            ) from None
        places = range(len(self.inputs))
        return [None if place in self.hidden_inputs else next(values) for place in places]

    def visible_outputs(self, data: Sequence[Any]) -> list[Any]:
        """The items of *data*, one an output, that callers get."""
        return [
            item
            for place, item in enumerate(data[: len(self.outputs)])
            if place not in self.hidden_outputs
        ]

    def with_info(self, told: JSON, components: Mapping[int, Component]) -> Endpoint:
        """The endpoint as *told*, its entry in ``/info``, describes it."""
        return attrs.evolve(
            self,
            parameters=read_parameters(
                _visible(self.inputs, components), said_list(told, "parameters")
            ),
            returns=read_returns(_visible(self.outputs, components), said_list(told, "returns")),
            description=said(told, "description", str) or self.description,
        )

    @classmethod
    def read(
        cls,
        dependency: JSON,
        place: int,
        components: Mapping[int, Component],
        *,
        enable_queue: bool,
    ) -> Endpoint:
        """Read the item of ``config["dependencies"]`` at *place*.

        Raises:
            RemoteProtocolError: it has no lists of ids as inputs and outputs.
        """
        inputs, outputs = _ids(dependency, "inputs"), _ids(dependency, "outputs")
        if inputs is None or outputs is None:
            raise RemoteProtocolError(f"Dependency {place} of the config has no inputs or outputs.")
        fn_index = said(dependency, "id", int)
        api_name = said(dependency, "api_name", str)
        queue = said(dependency, "queue", bool)
        limit = said(dependency, "time_limit", float) or said(dependency, "time_limit", int)
        return cls(
            fn_index=place if fn_index is None else fn_index,
            api_name=None if api_name is None else with_slash(api_name),
            inputs=inputs,
            outputs=outputs,
            parameters=read_parameters(_visible(inputs, components), None),
            returns=read_returns(_visible(outputs, components), None),
            visibility=_visibility(dependency),
            # @gradio/client submit.ts: skip_queue.
            queue=enable_queue if queue is None else queue,
            backend_fn=said(dependency, "backend_fn", bool) is not False,
            is_generator=said(said_dict(dependency, "types"), "generator", bool),
            connection=said(dependency, "connection", str) or "sse",
            time_limit=limit,
            batch=said(dependency, "batch", bool) or False,
            cancels=_ids(dependency, "cancels") or (),
            description=said(dependency, "api_description", str) or "",
            hidden_inputs=_hidden(inputs, components),
            hidden_outputs=_hidden(outputs, components),
        )


def with_slash(api_name: str) -> str:
    """``predict`` and ``/predict`` are the same name."""
    return f"/{api_name.removeprefix('/')}"


def unwrapped(values: Sequence[Any]) -> Any:
    """What a call returns: one value as it is, several (or none) as a tuple."""
    return values[0] if len(values) == 1 else tuple(values)


def _ids(part: JSON, key: str) -> tuple[int, ...] | None:
    numbers = said_list(part, key)
    ids = tuple(number for number in numbers or () if type(number) is int)
    return ids if numbers is not None and len(ids) == len(numbers) else None


def _visible(ids: Sequence[int], components: Mapping[int, Component]) -> list[Component]:
    found = [components.get(number) or Component.unknown(number) for number in ids]
    return [component for component in found if not component.skip_api]


def _hidden(ids: Sequence[int], components: Mapping[int, Component]) -> frozenset[int]:
    return frozenset(
        place
        for place, number in enumerate(ids)
        if number in components and components[number].skip_api
    )


def _visibility(dependency: JSON) -> Visibility:
    said_so = said(dependency, "api_visibility", str)
    if said_so is not None:
        return next((v for v in Visibility if v == said_so), Visibility.UNDOCUMENTED)
    if said(dependency, "api_name", bool) is False:
        return Visibility.PRIVATE
    if said(dependency, "show_api", bool) is False:
        return Visibility.UNDOCUMENTED
    return Visibility.PUBLIC
