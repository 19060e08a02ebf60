"""What a server says when it fails, as errors.

An app that fails answers in the ``output`` of ``process_completed`` (or the body of a plain call);
a server that refuses, in an HTTP status with JSON, HTML or text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from sansio_gradio.errors import (
    AppError,
    AuthenticationError,
    GradioError,
    QueueFullError,
    RemoteProtocolError,
    ServerStoppedError,
    TooManyRequestsError,
    ValidationError,
)
from sansio_gradio.protocol.features import Version
from sansio_gradio.protocol.fields import plain, said
from sansio_gradio.wire.headers import Headers, date, header
from sansio_gradio.wire.json import Loads, loads

# str(gr.Error) was its repr until 5.2 (gradio exceptions.py); "None" stood for a hidden error in
# generators from 3.50.2 to 4.21.
_UNQUOTED_SINCE: Final[Version] = (5, 2)
_HIDDEN_IS_NULL_SINCE: Final[Version] = (4, 29)

# What Python's repr makes of a text that UTF-8 can carry.
_ESCAPE: Final = (
    r"\\(?:[\\'nrt]|x[0-9a-f]{2}|u(?!d[89a-f])[0-9a-f]{4}|U00(?:0[0-9a-f]|10)[0-9a-f]{4})"
)
_REPR: Final = re.compile(rf"""'(?:[^\\'\n]++|{_ESCAPE})*+'|"(?:[^\\"\n]++|{_ESCAPE})*+\"""")

_EXCERPT: Final = 200


def app_error(output: Mapping[str, Any], version: Version, title: str | None = None) -> AppError:
    """The error of a failed run: ``output`` is ``{"error": text or null, ...}``."""
    text = output.get("error")
    if not isinstance(text, str) or (text == "None" and _is_before(version, _HIDDEN_IS_NULL_SINCE)):
        text = None
    elif _is_before(version, _UNQUOTED_SINCE) and _REPR.fullmatch(text):
        text = text[1:-1].encode("latin-1", "backslashreplace").decode("unicode_escape")
    own_title, duration = output.get("title"), output.get("duration")
    return AppError(
        text,
        title=own_title if isinstance(own_title, str) else title,
        duration=duration if type(duration) in (int, float) else None,
        visible=output.get("visible") is not False,
    )


def _is_before(version: Version, first: Version) -> bool:
    return () < version < first  # an unknown version (empty) is the newest


def refusal(
    status: int,
    headers: Headers,
    body: bytes,
    version: Version = (),
    wall_now: float | None = None,
    *,
    loads: Loads = loads,
) -> GradioError:
    """What an HTTP answer other than the expected one means.

    ``wall_now`` (POSIX seconds) turns a Retry-After date into seconds.
    """
    try:
        said_so = loads(body)
    except RemoteProtocolError:
        said_so = None
    answer = said_so if isinstance(said_so, dict) else {}
    detail = said(answer, "detail", str)
    error: GradioError
    if status == 401 or "auth_required" in answer:
        error = AuthenticationError()
    elif status == 429:
        error = TooManyRequestsError(retry_after=_retry_after(headers, wall_now))
    elif status == 422 and (invalid := _invalid(said(answer, "detail", list) or [])):
        error = ValidationError(invalid)
    elif status == 503 and detail is not None:
        kind = QueueFullError if "full" in detail.lower() else ServerStoppedError
        error = kind(detail)
    elif status >= 400 and "error" in answer:
        error = app_error(answer, version)
    else:
        error = RemoteProtocolError(f"the server answered {status}: {excerpt(body)}")
    error.status = status
    return error


def excerpt(body: bytes) -> str:
    """The first words of a body, fit for an error's text."""
    text = plain(body.lstrip()[: 2 * _EXCERPT].decode("utf-8", "replace"), _EXCERPT)
    return repr(text) if text else "nothing"


def _invalid(items: list[Any]) -> str:
    """What Gradio's own validators (5.45 and later) object to; empty for the framework's 422."""
    return "; ".join(
        ": ".join(filter(None, (said(item, "parameter_name", str), said(item, "message", str))))
        for item in items
        if said(item, "is_valid", bool) is False
    )


def _retry_after(headers: Headers, wall_now: float | None) -> float | None:
    text = (header(headers, "retry-after") or "").strip()
    if text.isdecimal() and len(text) < 10:
        return float(text)
    when = date(text)
    return None if when is None or wall_now is None else max(0.0, when - wall_now)
