"""Which Gradio the server role poses as, and what that one does, as data.

A protocol's traits say how it travels. The data here changed within a protocol, from one release
to the next: a new key in a message, a route that came or went. It is taken from recordings of real
servers.

Releases are written as ``>=3.1.5<3.17``: from 3.1.5 on, before 3.17. Either part may be missing.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from sansio_gradio.protocol.features import Version, version_numbers
from sansio_gradio.wire import json

__all__ = [
    "NEWEST_VERSION",
    "Manner",
    "covers",
    "filled",
    "protocol_of",
    "template",
    "typical",
]

_RELEASES: Final = re.compile(r"(?:>=([\d.]+))?(?:<([\d.]+))?")
_KEY: Final = re.compile(r"(\w+)([<>=\d.]*)(?::(\S+))?")


@lru_cache(1024)
def covers(releases: str, version: Version) -> bool:
    """Whether *version* is one of these releases."""
    match = _RELEASES.fullmatch(releases)
    assert match, releases
    first, gone = map(version_numbers, match.groups())
    return first <= version and not (gone and gone <= version)


def template(keys: str, version: Version) -> dict[str, Any]:
    """The object that servers of *version* write, with its constant values only.

    *keys* are in the order of servers: ``msg theme<3.17 css is_space>=3.1.5<3.17:false``. A key may
    have the releases that know it, and its value if that is always the same.
    """
    made: dict[str, Any] = {}
    for word in keys.split():
        match = _KEY.fullmatch(word)
        assert match, word
        key, releases, value = match.groups()
        if covers(releases, version):
            made[key] = json.loads(value or "null")
    return made


def filled(template: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of *template* with those *values* for which it has a key."""
    return {key: values.get(key, value) for key, value in template.items()}


class Manner(enum.Enum):
    """What servers of some releases do."""

    LEAVES_SOCKET_OPEN = "<3.2"  # after process_completed
    ONE_LINE = "<4.0"  # one queue for all functions, with one limit
    SHORT_ESTIMATE = ">=4.11"
    HIDDEN_ERROR_BREAKS = "<3.1.7"  # a plain call; that of gr.Error is hidden, too
    HIDDEN_ERROR_IS_NONE = ">=3.24<4.22"  # the text "None", in generators
    QUOTED_ERROR = "<5.2"  # the text of gr.Error is its repr
    SHOWN_ERROR_IS_VISIBLE = ">=6.0"  # any shown error says visible
    JSON_IS_REPLACED = ">=4.31.3"  # the JSON component is never sent as a fine diff
    CHECKS_CHOICES = ">=5.0"  # a value that a Dropdown does not offer is refused
    API_PREFIX = ">=5.0"  # /gradio_api before every route but /config and the page
    NAMES_ITS_ROOT = ">=4.19"  # config.root is an absolute URL
    CLEARS_DROPPED = ">=6.14"  # queued jobs of a dropped stream leave the pending set
    RESET_STOPS = ">=4.0<4.35"  # /reset stops a job that has yielded
    RESET_BY_SESSION = "<4.0"  # its answer says whether the session has generators
    BACKEND_CANCELS = "<4.32"  # a dependency's cancels are carried out by the server
    LOGIN_REDIRECTS = "<3.18"  # a login is answered 302
    STRIPS_USER = ">=3.44"  # blanks around the name of a user do not count
    COOKIES_NAME_SERVER = ">=3.44.4"  # the names of its cookies end in an id of the server's own
    EXPLAINS_LOGIN = ">=6.0"  # the refusal has the app's auth_message
    REDIRECTS_TO_ROOT = ">=5.18"  # by its URL; before: to /
    ENDS_ONE_SESSION = ">=5.46"  # /logout?all_session=false
    CORS_FOR_ALL = "<4.19.2"  # every page may read everything
    CORS_FIXED = ">=4.19.2<4.24"  # each answer names some methods and headers
    CORS_STRICT = ">=5.0"  # a page of no origin ("null") is not one of this machine
    NAMES_NO_ENDPOINT = "<3.40"  # a plain call of an unknown function is told so
    STATUS_IS_BARE = ">=4.0<4.20"  # /queue/status does not say which kind of message it is
    OMITS_STATE = ">=6.18"  # the data of /call may leave out State
    FINDS_CALLS = ">=6.25"  # the stream of a /call in a session of the client's
    LOGOUT_DELETES = ">=4.22"  # the cookies; before that, /logout forgot them
    RANDOM_FOLDERS = "<4.0"  # of an upload; later they are a hash of the content
    SHA1_FOLDERS = ">=4.0<4.41"
    SECRET_FOLDERS = ">=5.0"  # the hash is of a secret, too
    FORM_IS_CHECKED = "<4.0"  # an upload is read by FastAPI, and refused as other bodies are
    EMPTY_FORM_IS_BROKEN = "<5.0"
    BROKEN_FORM_IS_TOLD = ">=6.0"  # or the server raises
    STARRED_NAME_WINS = ">=4.0<6.0"  # filename* over filename
    DOTS_NAME_FOLDER = ">=4.0<4.44"  # a file named ".." becomes the folder
    SIZE_IS_LATE = "<5.0"  # it is compared before the next block is added
    WAITS_FOR_UPLOAD = ">=5.29"  # the progress may be asked for before the upload begins
    FILE_MISSING_RAISES = "<3.20"
    FILE_MISSING_IS_FORBIDDEN = ">=5.0"
    ANY_PATH_IS_A_FILE = ">=4.0<5.0"  # in arguments: any dict with a path
    META_DEMANDED = ">=5.5"
    RELATIVE_URL_IN_JSON = ">=4.44"
    VIDEO_IS_A_PAIR = ">=3.28<4.0"  # in results
    RELATIVE_FILES = "<4.0"  # files of the working directory are served
    REDIRECTS_TO_URLS = ">=4.0<6.15"
    QUOTES_ETAG = ">=4.0"
    NAMES_FILES = ">=4.41"  # Content-Disposition; unsafe types are an attachment
    WRONG_RANGES = "<6.0"  # the length of some ranges is one too many
    OPEN_RANGES = ">=5.0"  # a- and -n, too


NEWEST_VERSION: Final = "6.31.0"

# The first release that speaks each protocol (gradio data_classes.py, blocks.py), and the one whose
# recordings the tests compare with.
_SPOKEN: Final = {
    "sse_v3": ((4, 22), NEWEST_VERSION),
    "sse_v2.1": ((4, 21), "4.21.0"),
    "sse_v2": ((4, 17), "4.19.2"),
    "sse_v1": ((4, 9), "4.16.0"),
    "sse": ((4, 0), "4.0.2"),
    "ws": ((3, 1, 5), "3.50.2"),
    "push": ((3, 0), "3.1.4"),  # before it there was no queue
}


def protocol_of(version: Version) -> str:
    """The protocol that servers of *version* speak.

    Raises:
        ValueError: there is no such version, or it is older than 3.0.
    """
    for name, (first, _) in _SPOKEN.items():
        if version >= first:
            return name
    text = ".".join(map(str, version))
    raise ValueError(f"not a version of Gradio from 3.0 on: {text or 'no numbers'}")


def typical(protocol: str | None) -> str:
    """A release that speaks *protocol*. The newest release if none does."""
    return _SPOKEN[protocol][1] if protocol in _SPOKEN else NEWEST_VERSION
