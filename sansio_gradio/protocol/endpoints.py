"""One function of the app: its parameters, its return values, and how to call it."""

from __future__ import annotations

import enum
import inspect
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

import attrs

from sansio_gradio.errors import LocalProtocolError, RemoteProtocolError
from sansio_gradio.protocol.components import Component
from sansio_gradio.protocol.fields import are_ids, plain, said, said_id
from sansio_gradio.protocol.files import NEWEST, FileRules, takes_files
from sansio_gradio.protocol.files import given as as_given
from sansio_gradio.protocol.keys import EndpointKeys, FunctionKeys, ParameterKeys
from sansio_gradio.protocol.parameters import (
    Parameter,
    ReturnValue,
    read_parameters,
    read_returns,
)
from sansio_gradio.wire.json import JSON

_LONGEST_NAME: Final = 100
_EITHER_WAY: Final = inspect.Parameter.POSITIONAL_OR_KEYWORD


class Visibility(enum.StrEnum):
    """Who may see and call an endpoint (``api_visibility``, 6.0)."""

    PUBLIC = "public"
    UNDOCUMENTED = "undocumented"  # can be called, but is not shown; show_api=False in 4.12 to 5.50
    PRIVATE = "private"  # clients cannot call it; api_name=False in 4.0 to 5.50


@attrs.frozen(kw_only=True)
class Endpoint:
    """A function of the app (a dependency, in Gradio's words).

    Before ``/info`` is known, the names of parameters are made of labels, and parameters have
    neither types nor defaults.
    """

    fn_index: int
    """Its number on the wire. Since 4.32 this is its id, and need not be its place in the list."""
    api_name: str | None
    """With its slash: ``/predict``. None: it has no name, and is called by ``fn_index``."""
    inputs: tuple[Component, ...]
    """All inputs, also those that callers leave out (``skip_api``)."""
    outputs: tuple[Component, ...]
    visibility: Visibility
    queue: bool
    """It is called through the queue; if not, by a plain POST."""
    backend_fn: bool
    """It runs on the server. Otherwise it runs in browsers only, and cannot be called."""
    is_generator: bool | None
    """It yields; None if the server does not tell (as 3.16)."""
    description: str
    streaming: bool = False
    """It takes its input in pieces (5.0)."""
    function: str | None = None
    """It is this server function of its one input component, and no dependency."""
    told: Mapping[str, Any] = attrs.field(factory=dict[str, Any], repr=False)
    """Its entry in ``/info``; empty: it has none, or ``/info`` is not known yet."""

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """One for each input that callers give."""
        return read_parameters(_visible(self.inputs), self.told.get("parameters"))

    @cached_property
    def returns(self) -> tuple[ReturnValue, ...]:
        """One for each output that callers get."""
        return read_returns(_visible(self.outputs), self.told.get("returns"))

    @cached_property
    def oauth_token(self) -> str | None:
        """Whether its function acts with a Hugging Face token of the caller: ``required``,
        ``optional``, or None (6.21; only ``/info`` tells)."""
        return said(dict(self.told), "oauth_token", str)

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
    def signature(self) -> inspect.Signature:
        """As Python has it; annotations are ``python_type``, as strings.

        In Python no required parameter may follow one with a default. Such a parameter, and all
        after it, are shown as keyword-only, though they can be given by position, too.
        """
        shown: list[inspect.Parameter] = []
        optional = by_name = False
        for taken in self.parameters:
            by_name = by_name or (optional and not taken.has_default)
            optional = taken.has_default
            kind = inspect.Parameter.KEYWORD_ONLY if by_name else _EITHER_WAY
            default = taken.default if optional else inspect.Parameter.empty
            shown.append(
                inspect.Parameter(taken.name, kind, default=default, annotation=taken.python_type)
            )
        types = [value.python_type for value in self.returns]
        returned = types[0] if len(types) == 1 else f"tuple[{', '.join(types) or '()'}]"
        return inspect.Signature(shown, return_annotation=returned)

    def needs_info(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
        """Whether this call needs ``/info``, for names or for defaults of parameters."""
        return bool(kwargs) or len(args) < len(self.parameters)

    def bind(
        self,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        options: Collection[str] = (),
        files: FileRules = NEWEST,
    ) -> list[Any]:
        """Return ``data`` as on the wire: one item for each input, null for State and other inputs
        that callers leave out.

        ``options``: the names that were given and are options of the call, such as ``timeout``.
        ``files``: the rules for files in this version.

        Raises:
            LocalProtocolError: arguments are missing, too many, given twice, of unknown names, or
                could be an option as well; the message names them all, and shows how the call is
                made.
        """
        values: Iterator[Any]
        if not kwargs and len(args) == len(self.parameters) and not self.takes_files:
            values = iter(args)
        else:
            given = self._given(args, kwargs, options)
            if self.takes_files:
                given = self._with_files(given, files)
            values = (given.get(parameter.name, parameter.default) for parameter in self.parameters)
        return [None if component.skip_api else next(values) for component in self.inputs]

    def _given(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], options: Collection[str]
    ) -> dict[str, Any]:
        """The arguments by name; raises as ``bind``."""
        names = [parameter.name for parameter in self.parameters]
        given = dict(zip(names, args, strict=False))
        mistakes = [f"there is no parameter {name!r}" for name in kwargs if name not in names]
        mistakes += [f"{name!r} is given twice" for name in kwargs if name in given]
        unclear = [name for name in names[len(args) :] if name in options]
        mistakes += [
            f"{name!r} is an option of every call: give the parameter of that name by position"
            for name in unclear
        ]
        if len(args) > len(names):
            mistakes.append(f"{len(names)} by position at most, not {len(args)}")
        given = {**kwargs, **given}
        missing = {name for name in names if name not in given}.difference(unclear)
        mistakes += [
            f"{parameter.name!r} must be given"
            for parameter in self.parameters
            if parameter.name in missing and not parameter.has_default
        ]
        if mistakes:
            raise LocalProtocolError(
                f"These arguments do not fit: {'; '.join(mistakes)}. The call is: {self}"
                f"{self._of_labels}"
            )
        return given

    def _with_files(self, given: Mapping[str, Any], rules: FileRules) -> dict[str, Any]:
        """The arguments, with a mark for each URL that stands where a file is wanted."""
        found = dict(given)
        for parameter, component in zip(self.parameters, _visible(self.inputs), strict=True):
            name = parameter.name
            if name in found and (takes_files(component) or parameter.is_file):
                try:
                    found[name] = as_given(found[name], component, rules)
                except LocalProtocolError as error:
                    raise LocalProtocolError(
                        f"The parameter {name!r} takes a file, and {error.message}. A URL may be"
                        " given as it is."
                    ) from None
        return found

    @cached_property
    def takes_files(self) -> bool:
        """Whether a file may be among its arguments, as far as is known."""
        return any(map(takes_files, self.inputs)) or any(p.is_file for p in self.parameters)

    @property
    def _of_labels(self) -> str:
        """What is to be known of names that the server has not told; empty: it has told all."""
        if all(ParameterKeys.parameter_name.of(parameter.info) for parameter in self.parameters):
            return ""
        if self.told.get("parameters"):
            why = "before Gradio 4.23 servers tell no names of parameters"
        else:
            why = "the server has told none"
        return f" (These names are made of labels: {why}.)"

    def arguments(self, data: Sequence[Any]) -> dict[str, Any]:
        """The items of *data*, as on the wire, by the names that the server has for parameters."""
        pairs = zip(self.inputs, data, strict=True)
        given = [item for component, item in pairs if not component.skip_api]
        names = [ParameterKeys.parameter_name.of(p.info) or p.name for p in self.parameters]
        return dict(zip(names, given, strict=True))

    def result_of(self, data: Sequence[Any]) -> Any:
        """The value that callers get for *data*, which has one item for each output.

        Outputs that callers do not get (State and the like) are left out. If one output is left,
        its item is the value; otherwise a tuple of the items is.
        """
        pairs = zip(self.outputs, data, strict=False)
        visible = [item for component, item in pairs if not component.skip_api]
        return visible[0] if len(visible) == 1 else tuple(visible)

    def with_info(self, told: JSON) -> Endpoint:
        """Return the endpoint as *told*, its entry in ``/info``, describes it."""
        description = EndpointKeys.description.of(told) or self.description
        known = told if isinstance(told, dict) else {}
        return attrs.evolve(self, told=known, description=description)

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
            RemoteProtocolError: its inputs or outputs are not lists of ids.
        """
        inputs = _components(FunctionKeys.inputs.of(dependency), components)
        outputs = _components(FunctionKeys.outputs.of(dependency), components)
        if inputs is None or outputs is None:
            raise RemoteProtocolError(f"Dependency {place} of the config has no inputs or outputs.")
        fn_index = said_id(dependency, FunctionKeys.id.name)
        api_name = FunctionKeys.api_name.of(dependency)
        queue = FunctionKeys.queue.of(dependency)
        return cls(
            fn_index=place if fn_index is None else fn_index,
            api_name=None if api_name is None else with_slash(api_name),
            inputs=inputs,
            outputs=outputs,
            visibility=_visibility(dependency),
            # @gradio/client submit.ts: skip_queue.
            queue=enable_queue if queue is None else queue,
            backend_fn=FunctionKeys.backend_fn.of(dependency) is not False,
            is_generator=said(FunctionKeys.types.of(dependency), "generator", bool),
            description=FunctionKeys.api_description.of(dependency) or "",
            streaming=FunctionKeys.connection.of(dependency) == "stream",
        )

    @classmethod
    def of_component(cls, component: Component, function: str) -> Endpoint:
        """A server function of a component: one value in, one out (3.47 and later)."""
        parts = (attrs.evolve(component, skip_api=False),)
        return cls(
            fn_index=-1,
            api_name=None,
            inputs=parts,
            outputs=parts,
            told={"parameters": [{"parameter_name": "data"}]},
            visibility=Visibility.UNDOCUMENTED,
            queue=False,
            backend_fn=True,
            is_generator=False,
            description="",
            function=function,
        )


def _uploading() -> Endpoint:
    part = (Component(id=-1, type="file", props={}, skip_api=False),)
    return Endpoint(
        fn_index=-1,
        api_name=None,
        inputs=part,
        outputs=part,
        visibility=Visibility.UNDOCUMENTED,
        queue=False,
        backend_fn=True,
        is_generator=False,
        description="",
    )


UPLOADING: Final = _uploading()
"""What an upload without a call is called by: a file in, and a file of the app out."""


def with_slash(api_name: str) -> str:
    """``predict`` and ``/predict`` are the same name."""
    return f"/{api_name.removeprefix('/')}"


def _components(
    ids: list[Any] | None, components: Mapping[int, Component]
) -> tuple[Component, ...] | None:
    if ids is None or not ({int}.issuperset(map(type, ids)) and are_ids(ids)):
        return None
    # The caller gives the value of a component that the config does not list (of another page, of a
    # render).
    found = {
        number: components.get(number)
        or Component(id=number, type="component", props={}, skip_api=False)
        for number in dict.fromkeys(ids)
    }
    return tuple([found[number] for number in ids])


def _visible(components: Sequence[Component]) -> list[Component]:
    return [component for component in components if not component.skip_api]


def _visibility(dependency: JSON) -> Visibility:
    said_so = FunctionKeys.api_visibility.of(dependency)
    if said_so is not None:
        return next((v for v in Visibility if v == said_so), Visibility.UNDOCUMENTED)
    if said(dependency, FunctionKeys.api_name.name, bool) is False:
        return Visibility.PRIVATE
    if FunctionKeys.show_api.of(dependency) is False:
        return Visibility.UNDOCUMENTED
    return Visibility.PUBLIC
