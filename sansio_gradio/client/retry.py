"""When a job is handed in again: the user's policy. Without one nothing is.

Only a job that the server has not accepted is handed in again.
"""

from __future__ import annotations

from functools import partial
from typing import Final

import attrs

from sansio_gradio import errors
from sansio_gradio.given import count, number, refused, seconds

_DOUBLINGS: Final = 1000  # of the wait; more are beyond the range of a float


@attrs.frozen(kw_only=True)
class Retry:
    """Which jobs are handed in again, how often, and how soon."""

    times: int = 3
    """How often (a count), not counting the first time."""

    queue_full: bool = True
    """Hand in again if the app's queue was full."""

    too_many_requests: bool = True
    """Hand in again if the server asked for fewer requests (HTTP 429)."""

    not_connected: bool = True
    """Hand in again if no connection could be made."""

    not_joined: bool = False
    """Hand in again if the connection broke, or the server was silent, before it confirmed the job.
    It may have accepted the job all the same: then the job runs twice."""

    backoff: float = 1.0
    """Seconds to wait before the first time; twice as many before each further one."""

    longest: float = 60.0
    """Seconds to wait at most. A server that asks for more (Retry-After) is not asked again."""

    jitter: float = 0.5
    """The random part of the wait (0 to 1), so that many clients do not come back at the same
    time."""

    def __attrs_post_init__(self) -> None:
        give = partial(object.__setattr__, self)
        give("times", count(self.times, "times", least=0))
        for name in ("backoff", "longest"):
            found = seconds(given := getattr(self, name), name)
            if not found:
                raise refused(given, name, "in seconds, more than 0")
            give(name, found)
        jitter = number(self.jitter, "jitter")
        if not 0 <= jitter <= 1:
            raise refused(self.jitter, "jitter", "a number from 0 to 1")
        give("jitter", jitter)

    def delay(self, error: errors.GradioError, attempt: int, random: float) -> float | None:
        """Seconds to wait before a job that failed in *error* is handed in again; None: it is not.

        *attempt*: how often the job was handed in again already. *random*: from 0 to 1.
        """
        asked = getattr(error, "retry_after", None) or 0.0
        if attempt >= self.times or asked > self.longest or not self._covers(error):
            return None
        wait = min(self.longest, self.backoff * 2.0 ** min(attempt, _DOUBLINGS))
        return max(asked, wait * (1 - self.jitter * random))

    def _covers(self, error: errors.GradioError) -> bool:
        match error:
            case errors.QueueFullError():
                return self.queue_full
            case errors.TooManyRequestsError():
                return self.too_many_requests
            case errors.ConnectFailed() | errors.DeadlineExceeded(phase="connect" | "tls"):
                return self.not_connected
            case errors.ConnectionLost(phase=phase) | errors.DeadlineExceeded(phase=phase):
                # A WebSocket is open, a stream, before it is asked for the job.
                return self.not_joined and phase in {"join", "stream"}
            case _:
                return False
