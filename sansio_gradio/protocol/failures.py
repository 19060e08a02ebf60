"""Turn the failures that a server reports into errors.

An app that fails says so in the ``output`` of ``process_completed``, or in the body of a plain
call. A server that refuses answers with an HTTP status and JSON, HTML or text.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Collection, Mapping
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
from sansio_gradio.wire.json import JSON, Loads, loads

# str(gr.Error) was its repr until 5.2 (gradio exceptions.py); "None" stood for a hidden error in
# generators from 3.50.2 to 4.21.
_UNQUOTED_SINCE: Final[Version] = (5, 2)
_HIDDEN_IS_NULL_SINCE: Final[Version] = (4, 29)

# Servers answer a malformed request with 400 and one of these: then the app has refused nothing.
_OF_THE_SERVER: Final = frozenset(
    {
        "No session hash provided.",
        "Session hash not found.",
        "No function index provided.",
        "Invalid JSON body.",
        "Invalid content type.",
    }
)

# The repr of a text that UTF-8 can encode.
_ESCAPE: Final = (
    r"\\(?:[\\'nrt]|x[0-9a-f]{2}|u(?!d[89a-f])[0-9a-f]{4}|U00(?:0[0-9a-f]|10)[0-9a-f]{4})"
)
_REPR: Final = re.compile(rf"""'(?:[^\\'\n]++|{_ESCAPE})*+'|"(?:[^\\"\n]++|{_ESCAPE})*+\"""")

_EXCERPT: Final = 200
_TOO_LONG: Final = "exceeded maximum allowed size"  # gradio route_utils.py: GradioMultiPartParser
_LOST: Final = (
    "[Errno 2] No such file",
    "is not in the upload folder",
    "because it was not uploaded by a user",
)
_LONGEST_MESSAGE: Final = 300
_LONGEST_SCHEME: Final = 20
_LONGEST_HEAD: Final = 4096  # bytes of a page in which its title is looked for
_TITLE: Final = re.compile(rb"<title[^<>]*>\s*([^<\s][^<]*)<", re.IGNORECASE)
_BASIC: Final = re.compile(r"(?:^|,)\s*basic\b", re.IGNORECASE)
_PROXY_HINT: Final = (
    "If a proxy or a gateway in front of the app asks, pass what it wants in headers= or cookies=."
)
_NOT_LOGGED_IN: Final = "Not authenticated"  # Gradio's standard text, which tells nothing more


class Login(enum.Enum):
    """What became of the login of ``auth=``."""

    NOT_GIVEN = enum.auto()
    TAKEN = enum.auto()  # the app took it
    NO_USE = enum.auto()  # the app has no such login


def app_error(output: Mapping[str, Any], version: Version, title: str | None = None) -> AppError:
    """The error of a failed run: ``output`` is ``{"error": text or null, ...}``."""
    text = output.get("error")
    if not isinstance(text, str) or (text == "None" and _is_before(version, _HIDDEN_IS_NULL_SINCE)):
        text = None
    elif _is_before(version, _UNQUOTED_SINCE):
        text = _unquoted(text)
    own_title, duration = output.get("title"), output.get("duration")
    return AppError(
        text,
        title=own_title if isinstance(own_title, str) else title,
        duration=duration if type(duration) in (int, float) else None,
        visible=output.get("visible") is not False,
    )


def is_unknown(message: Mapping[str, Any]) -> bool:
    """Whether an ``unexpected_error`` says that the server does not know the session, or the job.

    It has ``session_not_found`` since 5.38, though not on ``/call``.
    """
    text = message.get("message")
    is_404 = isinstance(text, str) and text.startswith("404")
    return is_404 or bool(message.get("session_not_found"))


def unknown_there() -> ServerStoppedError:
    return ServerStoppedError(
        "The server does not know this session: it has restarted since, or several replicas answer"
        " at its address and another one has the session."
    )


def _unquoted(text: str) -> str:
    """The text whose repr *text* is; *text* itself if it is not a repr."""
    if not _REPR.fullmatch(text):
        return text
    return text[1:-1].encode("latin-1", "backslashreplace").decode("unicode_escape")


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
    login: Login = Login.NOT_GIVEN,
    has_token: bool = False,
) -> GradioError:
    """The error for an unexpected HTTP answer.

    ``wall_now`` (POSIX seconds) turns a Retry-After date into seconds. ``login`` and ``has_token``:
    what the request had tried, so that the error says what else to try.
    """
    answer = _read(body, loads)
    detail = said(answer, "detail", str)
    error: GradioError
    if status == 407:
        error = proxy_wants_login(headers).about("a proxy")
    elif status == 401 or "auth_required" in answer:
        page = is_page(body)
        error = login_wanted(headers, answer, in_html=page, login=login, has_token=has_token)
    elif status == 403 and detail is None and "error" not in answer:
        error = AuthenticationError(
            f"The server forbids it: {excerpt(body)}. {_token_hint(has_token=has_token)} If the app"
            f" has a login, pass auth=(user, password). {_PROXY_HINT}"
        )
    elif status == 429:
        error = TooManyRequestsError(retry_after=_retry_after(headers, wall_now))
    elif status == 413:
        error = too_long(body)
    elif status == 422 and (invalid := _invalid(said(answer, "detail", list) or [])):
        error = ValidationError(invalid)
    elif status == 503 and detail is not None:
        kind = QueueFullError if "full" in detail.lower() else ServerStoppedError
        error = kind(detail)
    elif status == 400 and detail is not None and detail not in _OF_THE_SERVER:
        # A validator raised (5.45 and later): the str() of the exception, or the repr of a
        # gr.Error.
        error = AppError(_unquoted(detail))
    elif status >= 400 and "error" in answer:
        error = app_error(answer, version)
    else:
        error = RemoteProtocolError(f"the server answered {status}: {excerpt(body)}")
    error.status = status
    return error


def missing(body: bytes, *, has_token: bool) -> RemoteProtocolError:
    """The error for a 404 in place of an app."""
    return RemoteProtocolError(
        f"the server answered 404: {excerpt(body)}. Check the address."
        f" {_token_hint(has_token=has_token)}"
    )


def _token_hint(*, has_token: bool) -> str:
    # The proxy of Spaces answers like this, with 404 too, to a request that may not see the Space.
    if has_token:
        return "If it is a private Space, the token of token= may not open it."
    return "If it is a private Space, pass token=."


def is_lost_file(error: GradioError, paths: Collection[str]) -> bool:
    """Whether a server has lost one of the files that it had stored at *paths*.

    The text is of the function's own, or of Gradio's check before it (gradio processing_utils.py).
    """
    if not isinstance(error, AppError) or not any(word in error.message for word in _LOST):
        return False
    return any(path in error.message for path in paths)


def too_long(body: bytes) -> GradioError:
    """The error for a request that is too long: for the app, or for a proxy before it."""
    said_so = body[: 2 * _EXCERPT].decode("utf-8", "replace")
    if _TOO_LONG in said_so and not is_page(body):
        return AppError(plain(said_so, _EXCERPT))
    return RemoteProtocolError(
        "A proxy before the app takes no request as long as this (HTTP 413); the app itself says"
        f" another thing if a file is too large. It said: {excerpt(body)}"
    )


def login_wanted(
    headers: Headers,
    answer: JSON,
    *,
    in_html: bool = False,
    login: Login = Login.NOT_GIVEN,
    has_token: bool = False,
) -> AuthenticationError:
    """The error for an *answer* that wants a login. It says which login, and which option to pass.

    ``in_html``: the answer is a page, not JSON.
    """
    detail = said(answer, "detail", dict) or {}
    message = said(answer, "auth_message", str) or said(detail, "auth_message", str)
    reason = said(answer, "detail", str) or ""
    scheme = (header(headers, "www-authenticate") or "").partition(" ")[0]
    if scheme:
        text = (
            f"A login by HTTP ({plain(scheme, _LONGEST_SCHEME)}) is wanted, by a proxy or by the"
            " app: pass its Authorization in headers=; auth= is for Gradio's own login only."
        )
    elif in_html:
        text = (
            "A page in HTML wants a login, so it is not the app's answer."
            f" {_token_hint(has_token=has_token)} {_PROXY_HINT}"
        )
    elif reason and reason != _NOT_LOGGED_IN:
        text = (
            f"The server says: {plain(reason, _LONGEST_MESSAGE)}. If it wants a login, pass"
            " auth=(user, password), or what else it wants in headers= or cookies=."
            f" {_token_hint(has_token=has_token)}"
        )
    elif login is Login.NO_USE:
        text = (
            "The app wants a login that auth= cannot make: it has one of its own"
            " (auth_dependency). Pass the headers= or cookies= that it wants."
        )
    elif login is Login.TAKEN:
        text = (
            "The app took the login of auth=, but does not know it here: it has restarted,"
            " another replica has answered, or a proxy drops the cookies."
        )
    else:
        # Only Gradio's own login has a page that says so.
        own = "pass auth=(user, password)"
        any_login = (
            "auth=(user, password) if it is Gradio's own, else (auth_dependency) the headers= or"
            " cookies= that it wants"
        )
        hint = own if said(answer, "auth_required", bool) else any_login
        text = f"The app wants a login: {hint}." if message is None else hint
    if message is not None:
        text = f"The app wants a login: {plain(message, _LONGEST_MESSAGE)} ({text.rstrip('.')})"
    return AuthenticationError(text)


def proxy_wants_login(
    headers: Headers, *, status: int = 407, given: bool = False
) -> AuthenticationError:
    """The error for the *status* of a proxy that wants a login. The text calls the proxy "it".
    *given*: it had a user and a password."""
    wanted = [value for name, value in headers if name == "proxy-authenticate"]
    wanted = wanted or [value for name, value in headers if name == "www-authenticate"]
    has_basic = any(map(_BASIC.search, wanted))
    scheme = "Basic" if has_basic else "".join(wanted[:1]).partition(" ")[0]
    kind = f"{status}, {plain(scheme, _LONGEST_SCHEME)}" if scheme else f"{status}"
    if scheme and not has_basic:
        return AuthenticationError(f"it wants a login of another kind than Basic ({kind})")
    if given:
        return AuthenticationError(f"it refuses this user and password ({kind})")
    return AuthenticationError(
        f"it wants a login ({kind}): name the proxy as http://user:password@host:port"
    )


def _read(body: bytes, loads: Loads) -> dict[str, Any]:
    """The JSON object in a body; empty if there is none."""
    try:
        answer = loads(body)
    except RemoteProtocolError:
        return {}
    return answer if isinstance(answer, dict) else {}


def is_page(body: bytes) -> bool:
    """Whether a body looks like HTML."""
    return body.lstrip().startswith(b"<")


def excerpt(body: bytes) -> str:
    """The first words of a body, or the title of a page, for the text of an error."""
    if is_page(body) and (title := _TITLE.search(body[:_LONGEST_HEAD])):
        body = title[1]
    text = plain(body.lstrip()[: 2 * _EXCERPT].decode("utf-8", "replace"), _EXCERPT)
    return repr(text) if text else "nothing"


def _invalid(items: list[Any]) -> str:
    """The objections of Gradio's validators (5.45 and later); empty for the framework's own 422."""
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
