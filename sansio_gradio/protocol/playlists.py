"""The playlists of streamed outputs (5.0 and later): HLS, RFC 8216, as Gradio writes it.

Each segment is a file beside its playlist. The list only grows, until it says that it is over.
"""

from __future__ import annotations

import re
from typing import Final

import attrs

from sansio_gradio.errors import RemoteProtocolError

_FIRST: Final = "#EXTM3U"
_END: Final = "#EXT-X-ENDLIST"
# A file in the folder of the playlist: no other folder, no other server.
_SEGMENT: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,199}")


@attrs.frozen
class Playlist:
    """The segments so far, and whether there will be no more."""

    segments: tuple[str, ...]
    is_over: bool


def read_playlist(body: bytes) -> Playlist:
    """Read the body of a playlist.

    Raises:
        RemoteProtocolError: it is no playlist, or a segment does not lie beside it.
    """
    lines = [line.strip() for line in body.decode("utf-8", "replace").splitlines()]
    if not lines or lines[0] != _FIRST:
        raise RemoteProtocolError("The app sent something else than a playlist of segments.")
    segments = [line for line in lines if line and not line.startswith("#")]
    if not all(map(_SEGMENT.fullmatch, segments)):
        raise RemoteProtocolError(
            "The playlist names a segment at another place: only those beside it are fetched."
        )
    return Playlist(tuple(segments), _END in lines)
