"""What only the jobs of clients with ``await`` have: they are awaited, and end with their task."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Coroutine, Generator
from functools import partial
from typing import Any

from sansio_gradio.errors import JobCancelledError
from sansio_gradio.given import patience
from sansio_gradio_adapters._awaited.reading import Reader
from sansio_gradio_adapters._client import ClientCore
from sansio_gradio_adapters._jobs import JobRecord
from sansio_gradio_adapters._machine import Machine

__all__ = ["JobCancelledError", "JobOfTasks", "Reader"]


class JobOfTasks:
    """A job that belongs to the event loop of its client."""

    def __init__(
        self, record: JobRecord, core: ClientCore, machine: Machine, client: object
    ) -> None:
        self._record = record
        self._core = core
        self._machine = machine
        self._client = client  # keeps the client alive as long as the job

    @abstractmethod
    def result(self) -> Coroutine[Any, Any, Any]: ...

    def __await__(self) -> Generator[Any, None, Any]:
        return self.result().__await__()

    def cancel(self) -> bool:
        """Cancel the job at once, and make the server stop it; False: it was over already."""
        self._core.demand_own_process()
        if not self._record.cancel():
            return False
        self._machine.do_soon(partial(self._core.cancel, self._record))
        return True

    async def _wait(self, timeout: float | None) -> None:
        timeout = patience(timeout)
        record = self._record
        record.demand_outcome()
        try:
            ended = await self._machine.wait_until(record.ended, lambda: record.is_over, timeout)
        except BaseException as error:  # the world's own cancellation
            if self._core.is_own_process and record.cancel():  # the outcome is fixed at once
                self._machine.leave(partial(self._core.cancel, record), error)
            raise
        if not ended:
            raise record.not_yet(timeout)
