"""Which Gradio the server role poses as, and what that one does, as data.

A protocol's row says what its transport is. What is here changed *within* a protocol, from one
release to the next: a key more in a message, a route that came or went. PROTOCOL.md's feature table
and the recordings of real servers are the sources.
"""

from __future__ import annotations

import enum
import re
from typing import Final, TypeAlias

import attrs

from sansio_gradio.protocol.features import Version, version_numbers

_NEVER: Final[Version] = (999,)


@attrs.frozen
class Span:
    """The releases from ``since`` on, up to but without ``gone``."""

    since: Version = ()
    gone: Version = _NEVER

    def covers(self, version: Version) -> bool:
        return self.since <= version < self.gone


ALWAYS: Final = Span()


def since(*version: int) -> Span:
    return Span(version)


def until(*version: int) -> Span:
    return Span((), version)


Keys: TypeAlias = tuple[tuple[str, Span], ...]
"""The keys of a JSON object, in the order in which servers write them."""

_KEY: Final = re.compile(r"(\w+)(?:>=([\d.]+))?(?:<([\d.]+))?")


def table(text: str) -> Keys:
    """The keys that *text* lists, such as ``msg theme<3.17 app_id>=3.17 is_space>=3.1.5<3.17``."""
    rows: list[tuple[str, Span]] = []
    for word in text.split():
        match = _KEY.fullmatch(word)
        assert match, word
        key, first, gone = match.groups()
        rows.append((key, Span(version_numbers(first), version_numbers(gone) or _NEVER)))
    return tuple(rows)


def keys_of(rows: Keys, version: Version) -> tuple[str, ...]:
    """The keys that a server of *version* writes."""
    return tuple(key for key, span in rows if span.covers(version))


class Manner(enum.Enum):
    """What servers of some releases do."""

    CLIENT_SPEAKS_FIRST = Span((3, 1, 5), (3, 2))  # the WebSocket waits for {"hash": ...}
    LEAVES_SOCKET_OPEN = until(3, 2)  # after process_completed
    ONE_LINE = until(4, 0)  # one queue for all functions, with one limit
    SHORT_ESTIMATE = since(4, 11)
    HIDDEN_ERROR_IS_NONE = Span((3, 24), (4, 22))  # the text "None", in generators
    QUOTED_ERROR = until(5, 2)  # the text of gr.Error is its repr
    ERROR_DETAILS = since(4, 37, 1)  # gr.Error brings its title, duration, visible
    SHOWN_ERROR_IS_VISIBLE = since(6, 0)  # any shown error says visible
    JSON_IS_REPLACED = since(4, 31, 3)  # the JSON component is never sent as a fine diff
    API_PREFIX = since(5, 0)  # /gradio_api before every route but /config and the page
    NAMES_ITS_ROOT = since(4, 19)  # config.root is an absolute URL
    CLEARS_DROPPED = since(6, 14)  # queued jobs of a dropped stream leave the pending set
    RESET_STOPS = Span((4, 0), (4, 35))  # /reset stops a job, without a word
    BACKEND_CANCELS = until(4, 32)  # a dependency's cancels are carried out by the server


def does(version: Version, manner: Manner) -> bool:
    span: Span = manner.value
    return span.covers(version)


# The version of each protocol whose recordings the tests compare with.
TYPICAL: Final = {
    "push": "3.1.4",
    "ws": "3.50.2",
    "sse": "4.0.2",
    "sse_v1": "4.16.0",
    "sse_v2": "4.19.2",
    "sse_v2.1": "4.21.0",
}
OLDEST_VERSION: Final = "3.0"  # before it there was no queue
NEWEST_VERSION: Final = "6.31.0"

# What config.protocol says (gradio data_classes.py, blocks.py); before 4.0 it says nothing.
_ANNOUNCED: Final = (
    ((4, 22), "sse_v3"),
    ((4, 21), "sse_v2.1"),
    ((4, 17), "sse_v2"),
    ((4, 9), "sse_v1"),
    ((4, 0), "sse"),
)


def announced(version: Version) -> str | None:
    """The protocol that a server of *version* names in its config."""
    return next((name for first, name in _ANNOUNCED if version >= first), None)
