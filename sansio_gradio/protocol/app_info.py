"""What ``/config`` and ``/info`` say of an app.

``/config`` is enough to call an endpoint with all its arguments by position. ``/info`` adds the
names, types and defaults of parameters; servers before 3.26 do not have it.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final, TypeAlias, TypeVar, cast

import attrs

from sansio_gradio.errors import LocalProtocolError, RemoteProtocolError
from sansio_gradio.protocol.components import Component
from sansio_gradio.protocol.endpoints import Endpoint, Visibility, with_slash
from sansio_gradio.protocol.failures import login_wanted
from sansio_gradio.protocol.features import Version, version_numbers
from sansio_gradio.protocol.fields import plain, said
from sansio_gradio.protocol.files import FileRules, rules_of
from sansio_gradio.protocol.keys import ConfigKeys, InfoKeys
from sansio_gradio.wire.json import JSON

__all__ = ["AppInfo", "Component", "Endpoint"]

_LISTED: Final = 20  # names in the text of an error
_LONGEST_NAME: Final = 60
_WIDTH: Final = 120

# gradio templates/frontend/index.html, the same from 3.0 to 6.31; "<" is escaped in the JSON.
_PAGE_CONFIG: Final = (b"window.gradio_config = ", b"</script>")

_T = TypeVar("_T")
Parts: TypeAlias = tuple[Mapping[int, Component], Mapping[int, Endpoint]]


@attrs.frozen(kw_only=True)
class AppInfo:
    """What an app tells of itself. ``config`` has the rest."""

    version: Version
    """Of Gradio, as numbers: ``(6, 31, 0)``; empty if the server does not tell."""
    version_text: str | None
    protocol_name: str | None
    """``config["protocol"]``; None from servers before 4.0."""
    api_prefix: str
    """``/gradio_api`` since 5.0, before it is empty."""
    connect_heartbeat: bool | None
    """A session is to be kept alive by ``/heartbeat``."""
    components: Mapping[int, Component]
    endpoints: Mapping[int, Endpoint]
    """By ``fn_index``; private ones are here, too."""
    config: Mapping[str, Any] = attrs.field(repr=False)
    """As the server sent it."""
    info: Mapping[str, Any] | None = attrs.field(repr=False)
    """As the server sent it; None: not asked for yet."""

    @cached_property
    def files(self) -> FileRules:
        """How this version writes files."""
        return rules_of(self.version)

    @classmethod
    def from_config(cls, config: JSON) -> AppInfo:
        """Read ``/config``.

        Raises:
            AuthenticationError: the app wants a login.
            RemoteProtocolError: it is not a config of Gradio 3 or later.
        """
        if not isinstance(config, dict):
            raise RemoteProtocolError("The config of a Gradio app is a JSON object; this is none.")
        if config.get("auth_required"):
            raise login_wanted((), config)
        if "allow_flagging" in config:
            raise RemoteProtocolError("The app runs Gradio 2; the oldest known here is Gradio 3.")
        if None in (ConfigKeys.components.of(config), ConfigKeys.dependencies.of(config)):
            raise RemoteProtocolError(
                "This JSON has no components and dependencies: no Gradio app."
            )
        components, endpoints = _read(config, (), 0, ConfigKeys.enable_queue.of(config) or False)
        version = (ConfigKeys.version.of(config) or "").strip()
        return cls(
            version=version_numbers(version),
            version_text=version or None,
            protocol_name=ConfigKeys.protocol.of(config),
            api_prefix=ConfigKeys.api_prefix.of(config) or "",
            connect_heartbeat=ConfigKeys.connect_heartbeat.of(config),
            components=components,
            endpoints=endpoints,
            config=config,
            info=None,
        )

    def with_info(self, info: JSON) -> AppInfo:
        """Return the app with the contents of ``/info`` added.

        The parameters of an entry are used only if there is one for each input that callers give;
        otherwise those of the config stay.

        Raises:
            RemoteProtocolError: it is not an answer of ``/info``.
        """
        named, unnamed = InfoKeys.named_endpoints.of(info), InfoKeys.unnamed_endpoints.of(info)
        if not isinstance(info, dict) or named is None or unnamed is None:
            raise RemoteProtocolError(
                "This JSON has no named and unnamed endpoints: no Gradio API."
            )
        # Of two endpoints with one name, only the last has an entry; an undocumented endpoint has
        # none (gradio@6.31.0 blocks.py: get_api_info).
        order = [*self._callable(Visibility.UNDOCUMENTED), *self._callable(Visibility.PUBLIC)]
        owners = {endpoint.api_name: endpoint.fn_index for endpoint in order}
        endpoints: dict[int, Endpoint] = {}
        for fn_index, endpoint in self.endpoints.items():
            told = unnamed.get(str(fn_index))
            if endpoint.api_name is not None and owners.get(endpoint.api_name) == fn_index:
                told = named.get(endpoint.api_name, told)
            endpoints[fn_index] = endpoint.with_info(told)
        return attrs.evolve(self, endpoints=endpoints, info=info)

    def read_render(self, render: JSON, rendered: Mapping[int, Component]) -> Parts:
        """The components and endpoints that a ``gr.render`` function of the app has made.

        *render* is the ``render_config`` of an output (4.31 and later), *rendered* the parts that
        other renders have made.

        Raises:
            RemoteProtocolError: as ``from_config``.
        """
        queue = self.config.get("enable_queue") is True
        known = (rendered, self.components)
        return _read(render, known, len(self.config["dependencies"]), queue)

    def with_renders(self, renders: Iterable[Parts]) -> AppInfo:
        """Return the app with the rendered parts laid over it, the newest last.

        Nothing is copied before it is read, since a server may render very often.
        """
        known = tuple(renders)
        return attrs.evolve(
            self,
            components=_Laid(lambda: _over(self.components, (there for there, _ in known))),
            endpoints=_Laid(lambda: _over(self.endpoints, (there for _, there in known))),
        )

    @property
    def has_info(self) -> bool:
        return self.info is not None

    @property
    def app_id(self) -> int | None:
        """A number that changes with each start of the server; None: the server does not tell."""
        return ConfigKeys.app_id.of(self.config)

    def is_same_run(self, other: AppInfo) -> bool:
        """Whether this is *other*, and the server was not started anew in between, as far as is
        known."""
        if self.app_id is not None and other.app_id is not None:
            return self.app_id == other.app_id
        return self.version_text == other.version_text and self.has_functions_of(other)

    def has_functions_of(self, other: AppInfo) -> bool:
        """Whether the numbers of endpoints and components mean the same here as in *other*."""
        return self._numbered == other._numbered

    @property
    def _numbered(self) -> tuple[JSON, list[tuple[int | None, str | None, str | None]]]:
        parts = [
            (said(part, "id", int), said(part, "type", str), said(part.get("props"), "label", str))
            for part in self.config["components"]
        ]
        return self.config["dependencies"], parts

    def endpoint(self, api_name: str | None = None, fn_index: int | None = None) -> Endpoint:
        """Find the endpoint of a call.

        By name, with the slash or without (the first, if several have it); by number; or, with
        neither, the only public endpoint. Private endpoints cannot be called.

        Raises:
            LocalProtocolError: there is none, or more than one; the message lists the endpoints.
        """
        if api_name is None and fn_index is None:
            public = self._callable(Visibility.PUBLIC)
            # Before 4.0 functions without a name are the rule, and in the way only beside one with.
            found = [e for e in public if e.api_name is not None] or public
            if len(found) == 1:
                return found[0]
            raise LocalProtocolError(
                f"Say which endpoint by api_name or fn_index. {_listed(found)}"
            )
        name = None if api_name is None else with_slash(str(api_name))
        hidden: Endpoint | None = None
        for endpoint in self.endpoints.values():
            if name in (None, endpoint.api_name) and fn_index in (None, endpoint.fn_index):
                if endpoint.backend_fn and endpoint.visibility is not Visibility.PRIVATE:
                    return endpoint
                hidden = hidden or endpoint
        public = self._callable(Visibility.PUBLIC)
        if hidden is not None:
            raise LocalProtocolError(_not_for_clients(hidden, name, fn_index, public))
        there = self._callable(Visibility.PUBLIC, Visibility.UNDOCUMENTED)
        from difflib import get_close_matches  # noqa: PLC0415  # slow to import, for mistakes only

        close = get_close_matches(name or "", [e.api_name for e in there if e.api_name], 1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise LocalProtocolError(
            f"There is no endpoint with {_place(name, fn_index)}{hint}. {_listed(public)}"
        )

    def server_function(self, component: int, function: str) -> Endpoint:
        """Return a function of a component, such as ``ls`` of a FileExplorer, as an endpoint.

        Raises:
            LocalProtocolError: there is none; the message says what there is.
        """
        there = {
            id: said(part.props, "server_fns", list) or [] for id, part in self.components.items()
        }
        if function in there.get(component, ()):
            return Endpoint.of_component(self.components[component], function)
        listed = [f"{id}: {', '.join(map(str, names))}" for id, names in there.items() if names]
        raise LocalProtocolError(
            f"Component {component} has no server function {function!r}."
            f" There are: {plain('; '.join(listed), _WIDTH) or 'none'}"
        )

    def describe(self, *, all_endpoints: bool = False) -> str:
        """The endpoints as text for people: how to call each, and its description.

        ``all_endpoints``: include undocumented endpoints. Private ones are never shown.
        """
        lines = [f"Gradio {plain(self.version_text or 'of unknown version', _WIDTH)}"]
        for endpoint in self._shown(all_endpoints):
            rows = [plain(row, _WIDTH) for row in endpoint.description.splitlines()]
            if endpoint.oauth_token is not None:
                asks = plain(endpoint.oauth_token, _WIDTH)
                rows.append(f"It acts with your Hugging Face token ({asks}): oauth_token=.")
            lines += ["", "\n    ".join([str(endpoint), *rows])]
        return "\n".join(lines)

    def as_dict(self, *, all_endpoints: bool = False) -> dict[str, Any]:
        """The same as JSON, in the form of ``/info``, for every version of servers.

        ``{"named_endpoints": {"/add": {"parameters": [...], "returns": [...], ...}},
        "unnamed_endpoints": {"3": ...}}``. An entry also has everything else that ``/info`` tells
        of the endpoint. Of two endpoints with one name, the first is listed, since calls by name
        reach that one. The values in an entry are shared with the app: do not change them.
        """
        named: dict[str, Any] = {}
        unnamed: dict[str, Any] = {}
        for endpoint in self._shown(all_endpoints):
            entry = {
                **endpoint.told,
                "parameters": [{**p.info, "parameter_name": p.name} for p in endpoint.parameters],
                "returns": [dict(value.info) for value in endpoint.returns],
                "description": endpoint.description,
            }
            if endpoint.api_name is None:
                unnamed[str(endpoint.fn_index)] = entry
            else:
                named.setdefault(endpoint.api_name, entry)
        return {"named_endpoints": named, "unnamed_endpoints": unnamed}

    def _shown(self, all_endpoints: bool) -> list[Endpoint]:
        more = [Visibility.UNDOCUMENTED] if all_endpoints else []
        return self._callable(Visibility.PUBLIC, *more)

    def _callable(self, *which: Visibility) -> list[Endpoint]:
        return [e for e in self.endpoints.values() if e.backend_fn and e.visibility in which]


def _read(
    listed: JSON, known: Sequence[Mapping[int, Component]], place: int, enable_queue: bool
) -> Parts:
    """What is *listed* in a config or a render; its first function has this *place* in the app.

    *known*: other components that it may refer to.
    """
    parts = map(Component.read, ConfigKeys.components.of(listed) or [])
    components = {component.id: component for component in parts}
    there: Mapping[int, Component] = components
    if known:
        there = ChainMap(components, *cast("Sequence[dict[int, Component]]", known))
    endpoints: dict[int, Endpoint] = {}
    for number, dependency in enumerate(ConfigKeys.dependencies.of(listed) or [], place):
        endpoint = Endpoint.read(dependency, number, there, enable_queue=enable_queue)
        endpoints.setdefault(endpoint.fn_index, endpoint)
    return components, endpoints


class _Laid(Mapping[int, _T]):
    """A mapping that is built when it is first read."""

    def __init__(self, make: Callable[[], Mapping[int, _T]]) -> None:
        self._make = make

    @cached_property
    def _made(self) -> Mapping[int, _T]:
        return self._make()

    def __getitem__(self, number: int) -> _T:
        return self._made[number]

    def __iter__(self) -> Iterator[int]:
        return iter(self._made)

    def __len__(self) -> int:
        return len(self._made)


def _over(base: Mapping[int, _T], layers: Iterable[Mapping[int, _T]]) -> Mapping[int, _T]:
    """All mappings as one; for each number, the last mapping that has it counts."""
    found = dict(base)
    for layer in layers:
        found.update(layer)
    return found


def _place(name: str | None, fn_index: int | None) -> str:
    given = {"api_name": name, "fn_index": fn_index}
    return " and ".join(f"{word}={value!r}" for word, value in given.items() if value is not None)


def _not_for_clients(
    endpoint: Endpoint, name: str | None, fn_index: int | None, public: Sequence[Endpoint]
) -> str:
    """Why this endpoint cannot be called."""
    if endpoint.visibility is Visibility.PRIVATE:
        what = (
            f"The endpoint with {_place(name, fn_index)} is private: the app lets no client call it"
        )
    else:
        what = f"There is no endpoint with {_place(name, fn_index)}: it runs in the browser only"
    return f"{what}. {_listed(public)}"


def _listed(endpoints: Sequence[Endpoint]) -> str:
    names = [
        plain(e.api_name or f"fn_index={e.fn_index}", _LONGEST_NAME) for e in endpoints[:_LISTED]
    ]
    more = ", ..." if len(endpoints) > _LISTED else ""
    return f"The app has: {', '.join(names) or 'none'}{more}"


def config_in_page(page: bytes) -> bytes | None:
    """The JSON of the config in an app's page; None: the page has none."""
    start, end = _PAGE_CONFIG
    _, found, rest = page.partition(start)
    config, closed, _ = rest.partition(end)
    return config.strip().removesuffix(b";") if found and closed else None
