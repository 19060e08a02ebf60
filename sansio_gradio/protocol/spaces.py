"""Hugging Face Spaces: how they are named, and what the Hub says of them.

The Hub knows the address of a Space (``/host``) and its stage (``/runtime``). Source:
huggingface_hub (hf_api.py, _space_api.py) and the official clients; docs/credentials.md.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from typing import Final

from sansio_gradio.errors import (
    AuthenticationError,
    GradioError,
    LocalProtocolError,
    RemoteProtocolError,
    SpaceError,
)
from sansio_gradio.protocol.fields import plain, said
from sansio_gradio.protocol.requests import HTTPRequest
from sansio_gradio.wire.headers import Headers, header
from sansio_gradio.wire.json import JSON
from sansio_gradio.wire.url import URL, Address

HUB: Final = "https://huggingface.co"
"""The Hub, if no other is given."""

_HOSTS_OF_HUB: Final = frozenset({"huggingface.co", "www.huggingface.co", "hf.co"})
# No name starts with a dot, so none can mean ``..``.
_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*/[A-Za-z0-9_-][A-Za-z0-9._-]*")
_LONGEST: Final = 300
_MISSING: Final = "There is no Space {space} on the Hub, or it is private"


class Do(enum.Enum):
    """What a stage of a Space means for a visitor."""

    GO_ON = enum.auto()  # the app answers
    WAIT = enum.auto()  # it will
    WAKE = enum.auto()  # it will, after somebody has asked for it
    GIVE_UP = enum.auto()  # only its owner can change that


STAGES: Final[Mapping[str, tuple[Do, str]]] = {
    "RUNNING": (Do.GO_ON, "It runs."),
    "RUNNING_BUILDING": (Do.GO_ON, "It runs, while its next version is built."),
    "RUNNING_APP_STARTING": (Do.GO_ON, "It runs, while its next version starts."),
    "BUILDING": (Do.WAIT, "It is being built."),
    "APP_STARTING": (Do.WAIT, "It is starting."),
    "SLEEPING": (Do.WAKE, "It sleeps, as nobody has used it for a while."),
    "STOPPED": (Do.WAKE, "It was stopped."),
    "PAUSED": (Do.GIVE_UP, "Its owner has paused it, and has to restart it."),
    "NO_APP_FILE": (Do.GIVE_UP, "It has no app file."),
    "CONFIG_ERROR": (Do.GIVE_UP, "Its configuration is wrong: its owner has to correct it."),
    "BUILD_ERROR": (Do.GIVE_UP, "It could not be built: its owner has to correct it."),
    "RUNTIME_ERROR": (Do.GIVE_UP, "Its app has crashed: its owner has to correct it."),
    "DELETING": (Do.GIVE_UP, "It is being deleted."),
}
"""What each stage means. One that is not here: the app is asked, as if it ran."""


def space_name(src: str, hub: URL) -> str | None:
    """The ``owner/name`` that *src* means: itself, or the page of a Space on the Hub.

    None: *src* is another URL.

    Raises:
        LocalProtocolError: it is neither.
    """
    text = src.strip()
    if "://" not in text:
        if not _NAME.fullmatch(text):
            shown = re.split("[?#]", text)[0].rpartition("@")[2]  # the rest may hold a secret
            raise LocalProtocolError(
                f"{shown[:80]!r} is neither a URL (http://...) nor a Space (owner/name).",
                phase="connect",
            )
        return text
    address = Address.parse(text)
    url = address.page
    if address.socket is not None:
        return None
    if url.host not in _HOSTS_OF_HUB and url.origin != hub.origin:
        return None
    kind, _, name = url.path.strip("/").partition("/")
    if kind != "spaces":
        return None
    if not _NAME.fullmatch(name):
        raise LocalProtocolError(
            "The page of a Space is https://huggingface.co/spaces/owner/name.", phase="connect"
        )
    return name


def hub_base(hub: str) -> URL:
    """The address of the Hub, with one slash at its end.

    Raises:
        LocalProtocolError: *hub* is not an http or https URL.
    """
    address = Address.parse(hub)
    if address.socket is not None:
        # Without its socket the address would be that of another server, which gets the token.
        raise LocalProtocolError("The Hub is asked by http or https, not at a Unix socket.")
    return address.page


def host_request(space: str) -> HTTPRequest:
    """Ask the Hub where a Space lives: names of hosts do not always follow from names of Spaces."""
    return HTTPRequest("GET", f"api/spaces/{space}/host")


def runtime_request(space: str) -> HTTPRequest:
    """Ask the Hub for the stage of a Space."""
    return HTTPRequest("GET", f"api/spaces/{space}/runtime")


def host_in(answer: JSON, space: str, hub: URL) -> URL:
    """The address of the Space, in the Hub's *answer*.

    Raises:
        RemoteProtocolError: there is none, or it is less safe than the Hub itself. (The token goes
            there.)
    """
    try:
        address = Address.parse(said(answer, "host", str) or "")
    except LocalProtocolError:
        raise RemoteProtocolError(f"the Hub does not say where the Space {space} is") from None
    page = address.page
    if address.socket is not None:
        raise RemoteProtocolError(f"the Hub names a socket of this machine as the Space {space}")
    if hub.scheme == "https" and page.scheme != "https":
        raise RemoteProtocolError(f"the Hub names an address of the Space {space} without TLS")
    return page


def stage_in(answer: JSON) -> tuple[str | None, str]:
    """The stage in the Hub's *answer*, None if there is none, and the message of its failure."""
    return said(answer, "stage", str), said(answer, "errorMessage", str) or ""


def hub_refusal(
    status: int, headers: Headers, space: str, *, has_token: bool
) -> GradioError | None:
    """The error for the Hub's answer to ``host_request``; None: it does not refuse the Space.

    Without a token the Hub answers 401 for a private Space and for one that does not exist. With a
    token it answers 404 for a Space that the token cannot see.
    """
    code = header(headers, "x-error-code") or ""
    missing = _MISSING.format(space=space)
    if status == 403 or code == "GatedRepo":
        what = f"The Hub refuses the Space {space}: ask for access on its page"
        return AuthenticationError(f"{what}, and pass token=, the token of a user with access.")
    if status == 401 and has_token and code != "RepoNotFound":
        return AuthenticationError(
            "The Hub does not know the token of token= (or the saved one), or it has expired."
            " token=False sends none."
        )
    if status in {401, 404} and not has_token:
        return AuthenticationError(f"{missing}: pass token=, a token that may read it.")
    if status in {401, 404}:
        return SpaceError(f"{missing}, and the token of token= may not read it.")
    return None


def stage_error(space: str, stage: str, message: str) -> SpaceError:
    """The error for a Space that does not start by itself."""
    _, meaning = STAGES[stage]
    told = f" The Hub says: {plain(message, _LONGEST)}" if message else ""
    return SpaceError(f"The Space {space} is {stage}. {meaning}{told}", stage=stage)
