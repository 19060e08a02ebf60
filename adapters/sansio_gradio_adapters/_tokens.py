"""A token as a client is given it: a text, or a function that returns the token of the moment."""

from __future__ import annotations

from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Literal, TypeAlias

from sansio_gradio.client.credentials import token_of
from sansio_gradio.errors import OptionError
from sansio_gradio.given import is_a

GivenToken: TypeAlias = str | Callable[[], str | None] | Literal[False] | None
"""A token; a function that returns the token of the moment; None or False: see ``Client``."""


class Token:
    """A token as a client was given it, and the one to send now.

    ``now`` may be read in any thread. ``ask`` calls the caller's function.
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
            if iscoroutinefunction(given):
                raise OptionError(
                    f"{self._name}: the function must not be async, since it is not awaited. Call"
                    f" set_{self._name} whenever there is another one."
                )
            function: Callable[[], str | None] = given
            self.function, self.now = function, token_of(function(), self._name)
        else:
            self.function, self.now = None, token_of(given or None, self._name)

    def ask(self) -> bool:
        """Let the function tell the token of the moment, if there is one; returns whether the token
        is another one.

        Raises:
            LocalProtocolError: it returns what is no token. What it raises comes through.
        """
        if (function := self.function) is None:
            return False
        before, self.now = self.now, token_of(function(), self._name)
        return self.now != before
