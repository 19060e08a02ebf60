"""All errors. Each has one cause: the app, the connection, or the calling code.

Every failure is one of two kinds: the *app* said no (``AppError``, also a ``ValueError``), or the
connection failed (also a builtin ``ConnectionError``). A program that catches these two survives
everything that a server or a network does. ``LocalProtocolError`` is a mistake in the calling code.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any, ClassVar, Final


class NotGiven(enum.Enum):
    """The type of ``NOT_GIVEN``."""

    NOT_GIVEN = enum.auto()


NOT_GIVEN: Final = NotGiven.NOT_GIVEN
"""Marks an argument that was left out, where None has a meaning of its own."""


class GradioError(Exception):
    """Base of all errors of this library.

    ``phase`` is the step that failed (``connect``, ``config``, ``join``, ``stream``, ...), ``url``
    its address (without credentials), ``status`` the HTTP status if one arrived, ``job`` the number
    of the job, ``outputs`` what the job had yielded by then: a tuple for each yield, with one item
    per output component. The cause, if any, is in ``__cause__``.

    ``message``: a text, or anything that has one, as an exception does.
    """

    default_message: ClassVar[str] = "The call failed."

    def __init__(
        self,
        message: object = None,
        *,
        phase: str | None = None,
        url: str | None = None,
        status: int | None = None,
        job: int | None = None,
        outputs: Sequence[tuple[Any, ...]] = (),
    ) -> None:
        self.message = ("" if message is None else str(message)) or self.default_message
        super().__init__(self.message)
        self.phase = phase
        self.url = url
        self.status = status
        self.job = job
        self.outputs = outputs

    def __str__(self) -> str:
        where = {"phase": self.phase, "url": self.url, "status": self.status, "job": self.job}
        known = ", ".join(f"{name} {value}" for name, value in where.items() if value is not None)
        return f"{self.message} ({known})" if known else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        # Keyword-only arguments do not survive the default pickling of exceptions.
        return _rebuild, (type(self), self.message, vars(self).copy())

    def located(
        self,
        *,
        phase: str | None = None,
        url: str | None = None,
        status: int | None = None,
        job: int | None = None,
    ) -> GradioError:
        """Fill in the fields that are still None, and return the error itself."""
        self.phase = self.phase if self.phase is not None else phase
        self.url = self.url if self.url is not None else url
        self.status = self.status if self.status is not None else status
        self.job = self.job if self.job is not None else job
        return self

    def for_job(self, job: int, outputs: Sequence[tuple[Any, ...]] = ()) -> GradioError:
        """Copy this error for one of the jobs that it ended, with that job's outputs."""
        twin: GradioError = _rebuild(type(self), self.message, vars(self).copy())
        twin.job, twin.outputs, twin.__cause__ = job, outputs, self.__cause__
        return twin

    def about(self, who: str) -> GradioError:
        """Copy this error, with *who* it is about before its text."""
        twin: GradioError = _rebuild(type(self), f"{who}: {self.message}", {})
        vars(twin).update({**vars(self), "message": twin.message})
        twin.__cause__ = self.__cause__
        return twin


def _rebuild(cls: type[GradioError], message: str, state: dict[str, Any]) -> GradioError:
    error = cls(message)
    vars(error).update(state)
    return error


class ProtocolError(GradioError):
    """The protocol was broken: by the caller or by the server, as the subclass says."""


class LocalProtocolError(ProtocolError):
    """The calling code made a mistake: an unknown endpoint, wrong arguments, ..."""

    default_message = "This cannot be asked."


class OptionError(LocalProtocolError, ValueError):
    """An option has an invalid value, such as a negative timeout."""

    default_message = "This option cannot have this value."


class RemoteProtocolError(ProtocolError, ConnectionError):
    """The server, or a proxy before it, answered as no Gradio server does."""

    default_message = "The server's answer makes no sense."


class ConnectFailed(GradioError, ConnectionError):
    """No connection came about: refused, name not found, TLS mismatch."""

    default_message = "The connection could not be made."


class SpaceError(ConnectFailed):
    """A Hugging Face Space cannot be reached: there is none of that name, or it does not run and
    only its owner can change that. ``stage``: its stage on the Hub, such as ``PAUSED``, or None."""

    default_message = "The Space cannot be reached."

    def __init__(self, message: object = None, *, stage: str | None = None, **where: Any) -> None:
        super().__init__(message, **where)
        self.stage = stage


class ConnectionLost(GradioError, ConnectionError):
    """The connection or the stream ended before its time."""

    default_message = "The connection was lost."


class TooManyRequestsError(GradioError, ConnectionError):
    """The server asks to slow down (HTTP 429). ``retry_after``: seconds to wait, if it told."""

    default_message = "The server asks for fewer requests."

    def __init__(
        self, message: str | None = None, *, retry_after: float | None = None, **where: Any
    ) -> None:
        super().__init__(message, **where)
        self.retry_after = retry_after


class DeadlineExceeded(GradioError, ConnectionError, TimeoutError):
    """A deadline passed; ``phase`` is its name in ``Timeouts``."""

    default_message = "The deadline passed."


class AuthenticationError(GradioError, ValueError, ConnectionError):
    """The server wants a login, or refused the login."""

    default_message = "The server wants a login: pass auth=(user, password)."


class AppError(GradioError, ValueError):
    """The app said no: its function raised, or the app refused the call.

    ``title``, ``duration`` (seconds, None: until dismissed) and ``visible`` are what ``gr.Error``
    was given; servers before 4.37.1 send none of them. A served app whose function raises the error
    without a ``duration`` shows it for 10 seconds, as ``gr.Error`` does.
    """

    default_message = (
        "The app raised an error that it does not show "
        "(launch(show_error=True) makes Gradio tell what it was)."
    )

    def __init__(
        self,
        message: object = None,
        *,
        title: str | None = None,
        duration: float | NotGiven | None = NOT_GIVEN,
        visible: bool = True,
        **where: Any,
    ) -> None:
        super().__init__(message, **where)
        self.title = title
        self.is_duration_given = duration is not NOT_GIVEN
        self.duration = None if duration is NOT_GIVEN else duration
        self.visible = visible


class QueueFullError(AppError):
    """The app's queue is full: try again later."""

    default_message = "The app's queue is full."


class ValidationError(AppError):
    """The app's validators refused the arguments (Gradio 5.45 and later)."""

    default_message = "The app refused the arguments."


class ServerStoppedError(AppError):
    """The server ended the job for a reason that is not the job's own."""

    default_message = "The server stopped the job."


class JobCancelledError(GradioError):
    """The job was cancelled by its own client."""

    default_message = "The job was cancelled."


def unforeseen(error: Exception) -> RemoteProtocolError:
    """Wrap *error*, an exception that nothing in this library expected."""
    try:
        said = f"{type(error).__name__}: {error}"
    except Exception:  # its own __str__ raises
        said = type(error).__name__
    broken = RemoteProtocolError(f"what came could not be dealt with: {said[:200]}")
    broken.__cause__ = error
    return broken
