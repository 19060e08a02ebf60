"""The news of an exchange, as its connection has brought them.

The head and the pieces of an answer, or the texts of a WebSocket. A WebSocket begins with an answer
of 101, and ends with a ``MessageEnded``.
"""

from __future__ import annotations

from typing import TypeAlias

import attrs

from sansio_gradio.wire.http import Event


@attrs.define  # not frozen: one is made per message
class TextCame:
    """A text message came on a WebSocket."""

    text: str


@attrs.define
class TransferFailed:
    """The exchange has ended before its time."""

    error: BaseException


News: TypeAlias = Event | TextCame | TransferFailed
"""One of them. Nothing follows a ``MessageEnded`` or a ``TransferFailed``."""
