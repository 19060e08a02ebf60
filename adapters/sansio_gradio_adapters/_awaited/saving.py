"""Files are saved by a thread, while a task waits."""

from __future__ import annotations

from functools import partial
from typing import Any

from sansio_gradio.protocol.remote_files import RemoteFile
from sansio_gradio_adapters._client import ClientCore
from sansio_gradio_adapters._downloads import DownloadRecord
from sansio_gradio_adapters._jobs import Signal
from sansio_gradio_adapters._machine import Machine
from sansio_gradio_adapters._saving import DownloadTarget, OnProgress, save


async def saved(
    core: ClientCore,
    machine: Machine,
    file: RemoteFile,
    place: DownloadTarget,
    *,
    resume: bool = True,
    on_progress: OnProgress | None = None,
) -> Any:
    """Download *file* to *place*; returns what ``place.finish`` gives.

    A cancellation gives it up, and leaves nothing behind.
    """
    saving = _Saving(core, file, place, resume=resume, on_progress=on_progress)
    return await saving.run(machine)


class _Saving:
    """A file that a thread saves while a task waits."""

    def __init__(
        self,
        core: ClientCore,
        file: RemoteFile,
        place: DownloadTarget,
        *,
        resume: bool,
        on_progress: OnProgress | None,
    ) -> None:
        self._core = core
        self._file = file
        self._place = place
        self._resume = resume
        self._on_progress = on_progress
        self._records: list[DownloadRecord] = []
        self._is_given_up = False
        self._why: Exception | None = None  # what ``on_progress`` has raised
        self._results: list[Any] = []
        self._errors: list[BaseException] = []
        self._done = Signal()

    async def run(self, machine: Machine) -> Any:
        """Wait for the end; a cancellation gives it up."""
        self._core.threads.call(self._work)
        try:
            await machine.wait_until(self._done, lambda: bool(self._results or self._errors))
        except BaseException:
            self._give_up()
            self._place.abandon()
            raise
        if self._why is not None:
            raise self._why
        if self._errors:
            raise self._errors[0]
        return self._results[0]

    def _work(self) -> None:
        progress = None if self._on_progress is None else self._tell
        try:
            self._results.append(save(self._begin, self._place, progress))
        except BaseException as error:
            self._errors.append(error)
        self._core.post(self._done.notify)

    def _begin(self) -> DownloadRecord:
        record = self._core.open_download(self._file, resume=self._resume)
        self._records.append(record)
        if self._is_given_up:  # after the line above: giving up looks there
            record.drop()
        return record

    def _give_up(self) -> None:
        self._is_given_up = True
        for record in self._records:
            record.drop()

    def _tell(self, saved: int, size: int | None) -> None:
        self._core.post(partial(self._progress, saved, size))

    def _progress(self, saved: int, size: int | None) -> None:
        """In the event loop."""
        if self._why is None and not self._is_given_up:
            assert self._on_progress is not None
            try:
                self._on_progress(saved, size)
            except Exception as error:  # the caller's own code: it ends this download only
                self._why = error
                self._give_up()
