"""What an app is: its functions, and the server that it poses as.

    app = App(title="Greeter")

    @app.endpoint("/greet")
    def greet(name: str, excited: bool = False) -> str:
        return f"Hello, {name}{'!' if excited else '.'}"

Parameters and results become components by their type hints. Nothing here runs a function: that is
done by ``sansio_gradio_adapters.server``, or by you, when a ``JobSubmitted`` event asks for it.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias, TypeVar, cast, overload

import attrs

from sansio_gradio.errors import LocalProtocolError
from sansio_gradio.given import is_a, refused
from sansio_gradio.protocol.app_info import AppInfo
from sansio_gradio.protocol.components import Component
from sansio_gradio.protocol.endpoints import Visibility
from sansio_gradio.protocol.features import version_numbers
from sansio_gradio.protocol.parameters import Parameter, ReturnValue
from sansio_gradio.protocol.protocols import Traits, traits_of
from sansio_gradio.server.components import (
    JSON,
    STATE,
    ComponentKind,
    component_of,
    hints_of,
    results_of,
)
from sansio_gradio.server.run import Run
from sansio_gradio.server.versions import Manner, covers, protocol_of, typical

__all__ = ["App", "Auth", "Function", "Slot", "describe"]

_RUN: Final = " run"  # no name that a parameter can have
_KEPT: Final = frozenset({"label", "file_count", "choices", "multiselect"})

F = TypeVar("F", bound=Callable[..., Any])

Auth: TypeAlias = (
    tuple[str, str] | Sequence[tuple[str, str]] | Mapping[str, str] | Callable[[str, str], Any]
)
"""Who may log in: see ``App``."""


@attrs.frozen(kw_only=True)
class Slot:
    """One parameter or one result of a function."""

    name: str
    component: ComponentKind = JSON
    has_default: bool = False
    default: Any = None

    @property
    def is_state(self) -> bool:
        return self.component is STATE


@attrs.frozen(kw_only=True)
class Function:
    """One function of the app, as clients see it.

    ``concurrency_limit``: runs at once (None: no limit). ``streaming``: it takes its input in
    pieces (5.0 and later), up to ``time_limit`` seconds of run time. ``scripted``: it yields whole
    messages, which are sent as they stand. ``cancels``: it does nothing but stop the jobs of these
    functions. ``call``: the Python function. ``run_parameter``: the name of its parameter that
    takes a ``Run``. The core uses neither of the last two.
    """

    fn_index: int
    api_name: str  # without the slash
    parameters: tuple[Slot, ...] = ()
    returns: tuple[Slot, ...] = ()
    description: str = ""
    queue: bool = True
    generator: bool = False
    streaming: bool = False
    time_limit: float | None = None
    scripted: bool = False
    concurrency_limit: int | None = 1
    cancels: tuple[int, ...] = ()
    call: Callable[..., Any] | None = attrs.field(default=None, repr=False, eq=False)
    run_parameter: str | None = None


class App:
    """A Gradio app: its functions, and the Gradio release that it poses as.

    ``version`` is that release, ``protocol`` the protocol that it speaks: give one, and the other
    follows. ``show_error``: clients are told what an exception was. ``concurrency_limit``: runs at
    once of each function that has no limit of its own (before 4.0: of all functions together).
    ``max_size``: jobs that may wait (None: no limit). ``api_open``: queued functions may be called
    past the queue, too. ``max_file_size``: bytes of one uploaded file (None: no limit of the app).

    ``auth``: who may log in, by name and password: a pair, a list of pairs, a dict, or a function
    of both that returns whether they are right. ``auth_message`` is shown to those who have not
    logged in. ``auth_dependency``: a function that finds the user (None: nobody) in a dict of the
    request's headers, whose names are in lower case, instead of a login. Both functions are called
    while the request is answered: let them be quick.

    Raises:
        ValueError: there is no such protocol, or *version* is none from 3.0 on.
        LocalProtocolError: *auth* is none of the above.
    """

    def __init__(
        self,
        *,
        title: str = "Gradio",
        version: str | None = None,
        protocol: str | None = None,
        show_error: bool = False,
        concurrency_limit: int | None = 1,
        max_size: int | None = None,
        api_open: bool = True,
        auth: Auth | None = None,
        auth_message: str | None = None,
        auth_dependency: Callable[[dict[str, str]], str | None] | None = None,
        max_file_size: int | None = None,
    ) -> None:
        if version is not None and not is_a(version, str):
            raise refused(version, "version", 'a release as a text, such as "4.44.1"')
        self.title = title
        self.version_text = typical(protocol) if version is None else version
        self.version = version_numbers(self.version_text)
        spoken = protocol_of(self.version)
        self.protocol = spoken if protocol is None else protocol
        self.traits: Traits = traits_of(self.protocol)
        self.show_error = show_error
        self.concurrency_limit = concurrency_limit
        self.max_size = max_size
        self.api_open = api_open
        self.auth = None if auth is None else _users(auth)
        self.auth_message = auth_message
        self.auth_dependency = auth_dependency
        self.max_file_size = max_file_size
        self.functions: list[Function] = []

    @classmethod
    def from_info(
        cls,
        info: AppInfo,
        *,
        answer: Callable[[Function], Callable[[Run, list[Any]], Any]] | None = None,
        **options: Any,
    ) -> App:
        """An app with the endpoints of another one: their names, components and defaults.

        *info* is what a client knows of the other app (``client.app``). ``answer(function)`` gives
        the Python function that is called instead, with the run and the values that the client has
        sent. None: you answer the ``JobSubmitted`` events. ``options`` are those of ``App``.

        State is left out: it stays in the other app. So are endpoints that clients cannot call. One
        without a name is called ``fn_`` and its number. Of two with one name the first counts.
        """
        options.setdefault("title", info.config.get("title") or "Gradio")
        app = cls(**options)
        names: set[str] = set()
        for endpoint in info.endpoints.values():
            name = (endpoint.api_name or f"fn_{endpoint.fn_index}").strip("/")
            is_private = endpoint.visibility is Visibility.PRIVATE
            if is_private or not endpoint.backend_fn or name in names:
                continue
            names.add(name)
            function = app.add(
                name,
                parameters=_slots(endpoint.inputs, endpoint.parameters),
                returns=_slots(endpoint.outputs, endpoint.returns),
                description=endpoint.description,
                queue=endpoint.queue,
                generator=endpoint.is_generator is not False,
                concurrency_limit=None,
            )
            if answer is not None:
                app.functions[-1] = _answered(function, answer(function))
        return app

    @property
    def api_prefix(self) -> str:
        """The start of every path but those of ``/config`` and the page."""
        return "/gradio_api" if self.does(Manner.API_PREFIX) else ""

    def does(self, manner: Manner) -> bool:
        """Whether the release that it poses as has this manner."""
        return covers(manner.value, self.version)

    @overload
    def endpoint(self, api_name: F, /) -> F: ...
    @overload
    def endpoint(self, api_name: str | None = None, **options: Any) -> Callable[[F], F]: ...
    def endpoint(self, api_name: F | str | None = None, **options: Any) -> F | Callable[[F], F]:
        """Offer a function: its name, parameters and results are read from it.

        A decorator, with or without arguments. ``options`` are those of ``add``. The type hints of
        the parameters say which components they are (see ``components``). A parameter of type
        ``Run`` gets the run, for progress, logs and headers. To show the user an error, raise
        ``AppError``.
        """
        if callable(api_name):
            return self.endpoint()(api_name)
        name = api_name

        def decorate(function: F) -> F:
            self.add_function(function, name, **options)
            return function

        return decorate

    def add_function(
        self, function: Callable[..., Any], api_name: str | None = None, **options: Any
    ) -> Function:
        """Offer *function* as ``endpoint`` does, without a decorator."""
        described = {**describe(function), **options}
        name: str = function.__name__ if api_name is None else api_name
        return self.add(name, call=function, **described)

    def add(
        self,
        api_name: str,
        *,
        parameters: Sequence[Slot] = (),
        returns: Sequence[Slot] = (),
        cancels: Sequence[str] = (),
        queue: bool = True,
        **options: Any,
    ) -> Function:
        """Offer an endpoint without a Python function: you answer its ``JobSubmitted`` events.

        ``cancels`` names the functions whose jobs it stops. The other ``options`` are fields of
        ``Function``.

        Raises:
            LocalProtocolError: the name is taken, or one of *cancels* is not known.
        """
        api_name = api_name.strip("/")
        if any(function.api_name == api_name for function in self.functions):
            raise LocalProtocolError(
                f"There is an endpoint /{api_name} already: choose another api_name."
            )
        options.setdefault("concurrency_limit", self.concurrency_limit)
        function = Function(
            fn_index=len(self.functions),
            api_name=api_name,
            parameters=tuple(parameters),
            returns=tuple(returns),
            cancels=tuple(self.function_named(name).fn_index for name in cancels),
            queue=queue and not cancels,
            **options,
        )
        self.functions.append(function)
        return function

    def function_named(self, api_name: str) -> Function:
        """The function of that name, with or without its slash.

        Raises:
            LocalProtocolError: there is none.
        """
        wanted = api_name.strip("/")
        for function in self.functions:
            if function.api_name == wanted:
                return function
        known = ", ".join(f"/{function.api_name}" for function in self.functions) or "none"
        raise LocalProtocolError(f"There is no endpoint /{wanted}. There are: {known}.")


def _slots(components: Sequence[Component], told: Sequence[Parameter | ReturnValue]) -> list[Slot]:
    """A slot for each component that clients see, of which this is *told*."""
    shown = [component for component in components if not component.skip_api]
    return [_slot(component, one) for component, one in zip(shown, told, strict=True)]


def _slot(component: Component, told: Parameter | ReturnValue) -> Slot:
    schema: Any = told.info.get("type")
    written: Any = told.info.get("python_type")
    kind = ComponentKind(
        kind=component.type,
        schema=schema if is_a(schema, dict) else {"type": {}},
        python_type=told.python_type,
        description=str(written.get("description") or "") if is_a(written, dict) else "",
        example=told.info.get("example_input"),
        props={key: value for key, value in component.props.items() if key in _KEPT},
    )
    if not isinstance(told, Parameter):
        return Slot(name=told.label, component=kind)
    # Before 4.23 only the config knows defaults: what the component shows at first.
    value = told.default if told.has_default else component.props.get("value")
    has_default = told.has_default or value is not None
    return Slot(name=told.name, component=kind, has_default=has_default, default=value)


def _answered(function: Function, call: Callable[[Run, list[Any]], Any]) -> Function:
    """The *function*, answered by *call*."""

    @functools.wraps(call)
    def with_values(**given: Any) -> Any:
        return call(given[_RUN], [given[slot.name] for slot in function.parameters])

    return attrs.evolve(function, call=with_values, run_parameter=_RUN)


def _users(auth: Any) -> Mapping[str, str] | Callable[[str, str], Any]:
    """Passwords by the names of users, or a function that knows them."""
    if callable(auth):
        return cast("Callable[[str, str], Any]", auth)
    try:
        pairs: list[Any] = list(auth.items() if is_a(auth, Mapping) else auth)
        if is_a(auth, tuple) and all(is_a(part, str) for part in pairs):
            pairs = [pairs]
        users: dict[Any, Any] = dict(pairs)
    except (TypeError, ValueError):
        users = {None: None}
    if not all(isinstance(text, str) for pair in users.items() for text in pair):
        raise LocalProtocolError(
            "auth is a pair of name and password, a list of pairs, a dict, or a function of both."
        )
    return users


def describe(function: Callable[..., Any]) -> dict[str, Any]:
    """Read the signature and the docstring of *function*. Returns arguments for ``App.add``.

    The first State among the results is the first State among the parameters, and so on.

    Raises:
        LocalProtocolError: a parameter is positional-only, ``*args`` or ``**kwargs``.
    """
    hints = hints_of(function)
    slots: list[Slot] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise LocalProtocolError(
                f"{function.__name__}: the parameter {name} cannot be given by its name. A served"
                " function takes no *args, no **kwargs and no positional-only parameters."
            )
        component = component_of(hints.get(name, Any))
        if parameter.default is parameter.empty:
            slots.append(Slot(name=name, component=component))
        else:
            default = parameter.default
            slots.append(Slot(name=name, component=component, has_default=True, default=default))
    run_parameter = next((name for name, hint in hints.items() if hint is Run), None)
    parameters = [slot for slot in slots if slot.name != run_parameter]
    generator = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
    results = results_of(hints.get("return", Any), generator=generator)
    states = iter([slot.name for slot in parameters if slot.is_state])
    names = (
        next(states, "state") if component is STATE else f"value_{place}"
        for place, component in enumerate(results)
    )
    return {
        "parameters": parameters,
        "returns": [Slot(name=name, component=of) for name, of in zip(names, results, strict=True)],
        "generator": generator,
        "run_parameter": run_parameter,
        "description": inspect.getdoc(function) or "",
    }
