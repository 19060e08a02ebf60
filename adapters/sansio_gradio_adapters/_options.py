"""The options of a client, as one value, which is made in one place: where a ``Client`` is made."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, TypeVar

import attrs

from sansio_gradio.client.commands import Observe
from sansio_gradio.client.proxies import Proxies
from sansio_gradio.client.retry import Retry
from sansio_gradio.limits import Limits, Timeouts
from sansio_gradio.wire.headers import Fields
from sansio_gradio_adapters._saving import PathText
from sansio_gradio_adapters._tokens import GivenToken

if TYPE_CHECKING:
    import ssl

P = ParamSpec("P")
S = TypeVar("S")
V = TypeVar("V")


@attrs.frozen(kw_only=True)
class ClientOptions:
    """What ``Client(...)`` takes, in every world. For the meaning see ``OpenClient.__init__``.

    A field that is added here is a keyword of every client.
    """

    src: str = attrs.field(kw_only=False)
    token: GivenToken = None
    oauth_token: str | Callable[[], str | None] | None = None
    auth: tuple[str, str] | None = None
    headers: Fields | None = None
    cookies: Fields | None = None
    protocol: str | None = None
    ssl_context: ssl.SSLContext | None = None
    proxy: str | Proxies | None = None
    trust_env: bool = True
    download_files: PathText | Literal[False] = False
    session_hash: str | None = None
    timeouts: Timeouts | None = None
    limits: Limits | None = None
    retry: Retry | None = None
    observe: Observe | None = None
    strict: bool = False
    json_loads: Callable[[str | bytes], Any] | None = None


def made_from(
    make: Callable[P, V],
) -> Callable[[Callable[[S, V], None]], Callable[Concatenate[S, P], None]]:
    """Let a constructor take the arguments of *make*, and give it what *make* makes of them.

    The constructor has the full signature of *make*, for type checkers, editors and ``help``.
    """
    parameters = inspect.signature(make).parameters.values()

    def decorate(init: Callable[[S, V], None]) -> Callable[Concatenate[S, P], None]:
        @wraps(init)
        def constructor(self: S, *args: P.args, **kwargs: P.kwargs) -> None:
            init(self, make(*args, **kwargs))

        itself = next(iter(inspect.signature(init).parameters.values()))
        signature = inspect.Signature([itself, *parameters])
        vars(constructor)["__signature__"] = signature
        return constructor  # type: ignore[return-value]  # what mypy makes of ``wraps``

    return decorate
