"""What the environment says of the Hugging Face Hub: its address, and the saved token.

The clients read it when they are made, as huggingface_hub does. The core and ``Loop`` never do.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, TypeAlias

from sansio_gradio.client.credentials import token_of
from sansio_gradio.errors import LocalProtocolError, OptionError
from sansio_gradio.given import is_a
from sansio_gradio.protocol.spaces import HUB, hub_base

GivenToken: TypeAlias = str | Callable[[], str | None] | Literal[False] | None
"""A token; a function that returns the token of the moment; None or False: see ``Client``."""

_YES: Final = frozenset({"1", "ON", "YES", "TRUE"})


def hub_address() -> str:
    """The address of the Hub: ``HF_ENDPOINT``, or https://huggingface.co.

    Raises:
        LocalProtocolError: ``HF_ENDPOINT`` is not an http or https URL.
    """
    given = os.environ.get("HF_ENDPOINT") or HUB
    try:
        return str(hub_base(given))
    except LocalProtocolError as error:
        raise LocalProtocolError(f"The environment variable HF_ENDPOINT: {error}") from error


def saved_token() -> str | None:
    """The token that the user has saved; None: there is none, or it must not be used unasked.

    It is in ``HF_TOKEN``, in ``HUGGING_FACE_HUB_TOKEN``, or in a file: ``HF_TOKEN_PATH``, else
    ``token`` in the folder ``HF_HOME``, else ``huggingface/token`` in ``XDG_CACHE_HOME`` (default:
    ``~/.cache``). With ``HF_HUB_DISABLE_IMPLICIT_TOKEN=1`` it is not looked for.

    Raises:
        LocalProtocolError: the file is there, and cannot be read.
    """
    get = os.environ.get
    if get("HF_HUB_DISABLE_IMPLICIT_TOKEN", "").upper() in _YES:
        return None
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if (token := token_of(get(name), name)) is not None:
            return token
    cache = get("XDG_CACHE_HOME") or os.path.join("~", ".cache")
    home = get("HF_HOME") or os.path.join(cache, "huggingface")
    path = os.path.expanduser(get("HF_TOKEN_PATH") or os.path.join(home, "token"))
    try:
        return token_of(Path(path).read_text("utf-8"), f"the token in {path}")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeError) as error:
        raise LocalProtocolError(
            f"The saved token in {path} cannot be read: {error}. Pass token=, or token=False to do"
            " without."
        ) from error


class Token:
    """A token as a client was given it, and the one to send now.

    ``now`` may be read in any thread. ``ask`` calls the caller's function, in the caller's thread.
    """

    def __init__(self, given: GivenToken, name: str) -> None:
        self._name = name
        self.now: str | None = None
        self.function: Callable[[], str | None] | None = None
        """The caller's function; None: the token stays as it is."""
        self.set(given)

    def set(self, given: GivenToken) -> None:
        """Take another token, or another function.

        Raises:
            LocalProtocolError: it is not a token. What the function raises comes through.
        """
        if given is not False and given is not None and not is_a(given, str):
            if not callable(given):
                raise OptionError(
                    f"{self._name} is a text, a function that returns one, False or None."
                )
            function: Callable[[], str | None] = given
            self.function, self.now = function, token_of(function(), self._name)
        else:
            self.function, self.now = None, token_of(given or None, self._name)

    def ask(self) -> bool:
        """Let the function tell the token of the moment; returns whether it is another one.

        Raises:
            LocalProtocolError: it returns what is no token. What it raises comes through.
        """
        assert self.function is not None
        before, self.now = self.now, token_of(self.function(), self._name)
        return self.now != before
