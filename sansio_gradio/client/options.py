"""The options of a conversation, as one value."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import attrs

from sansio_gradio.client.proxies import Proxies
from sansio_gradio.client.retry import Retry
from sansio_gradio.limits import Limits, Timeouts
from sansio_gradio.protocol.messages import Message, read_message
from sansio_gradio.wire.json import Loads, loads


def _reader(limit: str) -> Callable[[Options], Loads]:
    def make(options: Options) -> Loads:
        size, depth = getattr(options.limits, limit), options.limits.json_depth
        return partial(loads, max_size=size, max_depth=depth, json_loads=options.json_loads)

    return make


def _message_reader(options: Options) -> Callable[[str], tuple[Message, list[str]]]:
    return partial(read_message, loads=options.loads_message, strict=options.strict)


@attrs.frozen(kw_only=True)
class Options:
    """The options that parts of a conversation read. For their meaning see ``Conversation``."""

    entropy: Callable[[int], bytes]
    limits: Limits = attrs.field(factory=Limits)
    timeouts: Timeouts = attrs.field(factory=Timeouts)
    retry: Retry | None = None
    proxies: Proxies = attrs.field(factory=Proxies)
    strict: bool = False
    json_loads: Callable[[str | bytes], Any] | None = None
    loads_message: Loads = attrs.field(init=False, default=attrs.Factory(_reader("message"), True))
    """Reads a message of the queue, within ``Limits.message``."""
    loads_answer: Loads = attrs.field(init=False, default=attrs.Factory(_reader("answer"), True))
    """Reads a whole answer, within ``Limits.answer``."""

    read_message: Callable[[str], tuple[Message, list[str]]] = attrs.field(
        init=False, default=attrs.Factory(_message_reader, True)
    )
    """Reads a message of the queue; returns it, and what was wrong with its fields. Raises as
    ``parse_message``."""

    def random(self) -> float:
        """A number from 0 to 1."""
        return int.from_bytes(self.entropy(4)) / (2**32 - 1)

    def new_hash(self) -> str:
        """The name of a new session."""
        return self.entropy(8).hex()
