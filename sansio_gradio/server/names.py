"""What each release makes of the name of an uploaded file.

The names are labels. Nothing here or above it opens a file of such a name.
"""

from __future__ import annotations

import re
from typing import Final

from sansio_gradio.protocol.features import Version
from sansio_gradio.server.versions import covers

__all__ = ["base_name", "kept_name"]

_ONLY_SAFE: Final = "<6.0"  # letters, digits and a few signs; later all but the dangerous ones
_KEEPS_COMMA: Final = ">=5.0"
_KEEPS_EXTENSION: Final = ">=5.0"  # of a name that is cut
_MAX_BYTES: Final = 200

_SAFE: Final = "._- "
_DANGEROUS: Final = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f`$!{}]')
_DEVICE: Final = re.compile(r"(?i)(con|prn|aux|nul|com[1-9¹²³]|lpt[1-9¹²³])\s*(\.|$)")


def base_name(filename: str) -> str:
    """The name without its folders, in the manner of either system."""
    return re.split(r"[/\\]", filename)[-1]


def kept_name(name: str, version: Version) -> str:
    """The name under which a server of *version* keeps a file. It may be empty."""
    if covers(_ONLY_SAFE, version):
        safe = _SAFE + "," if covers(_KEEPS_COMMA, version) else _SAFE
        kept = "".join(char for char in name if char.isalnum() or char in safe)
    else:
        stem, extension = (_DANGEROUS.sub("", part) for part in _split(name))
        kept = (stem or ("file" if extension else "")) + extension
        if kept != "..":
            kept = kept.rstrip(" .") or "file"
        if _DEVICE.match(kept):
            kept = f"_{kept}"
    stem, extension = _split(kept) if covers(_KEEPS_EXTENSION, version) else (kept, "")
    room = _MAX_BYTES - len(extension.encode())
    if room <= 0:
        stem, extension, room = kept, "", _MAX_BYTES
    return _cut(stem, room) + extension


def _split(name: str) -> tuple[str, str]:
    """The stem and the extension with its dot. A name that starts with its only dot has none."""
    stem, dot, extension = name.rpartition(".")
    return (stem, dot + extension) if stem.strip(".") else (name, "")


def _cut(text: str, size: int) -> str:
    """The start of *text* in that many bytes, whole characters only."""
    return text.encode()[:size].decode(errors="ignore")
