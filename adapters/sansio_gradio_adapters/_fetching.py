"""The files of a result are downloaded before the job is over (``download_files=``)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from sansio_gradio.errors import DeadlineExceeded
from sansio_gradio.protocol.remote_files import RemoteFile, files_in, replaced_files
from sansio_gradio_adapters._downloads import DownloadRecord
from sansio_gradio_adapters._saving import Budget, Target, save
from sansio_gradio_adapters._threads import BlockingThreads

_log: Final = logging.getLogger(__name__)


class Fetching:
    """The files of one result, saved side by side in *folder*.

    ``result`` has their paths in the end. A file that could not be saved stays a ``RemoteFile``,
    whose ``error`` says why.
    """

    def __init__(
        self,
        result: Any,
        folder: Path,
        *,
        limit: int,
        open_download: Callable[[RemoteFile], DownloadRecord],
        done: Callable[[Fetching], object],
    ) -> None:
        self.result = result
        self._folder = folder
        self._files = files_in(result)
        self._budget = Budget(limit)
        self._open_download = open_download
        self._done = done
        self._paths: dict[int, str] = {}
        self._records: dict[DownloadRecord, None] = {}
        self._left = dict.fromkeys(range(len(self._files)))
        self._is_over = False
        self.is_late = False
        """The deadline of the job has passed before all files were there."""

    @property
    def has_files(self) -> bool:
        """Whether there is something to download."""
        return bool(self._files)

    def start(self, threads: BlockingThreads) -> None:
        """Begin."""
        for number, file in enumerate(self._files):
            threads.call(partial(self._fetch, number, file))

    def give_up(self) -> None:
        """Nobody wants the files any more."""
        self._is_over = True
        for record in list(self._records):
            record.drop()

    def _fetch(self, number: int, file: RemoteFile) -> None:
        try:
            if not self._is_over:
                self._paths[id(file)] = str(self._save(file))
        except Exception as error:  # which is told with the file; the others go on
            file.error = error
            self.is_late |= isinstance(error, DeadlineExceeded) and error.phase == "job"
            if not self._is_over:
                _log.warning("%r was not downloaded: %s", file.name, error)
        self._left.pop(number)
        if not self._left:
            self.result = replaced_files(self.result, self._path)
            self._done(self)

    def _save(self, file: RemoteFile) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        target = Target(self._folder, file.name)
        path: Path = save(partial(self._begin, file), target, budget=self._budget)
        return path.absolute()

    def _begin(self, file: RemoteFile) -> DownloadRecord:
        record = self._open_download(file)
        self._records[record] = None
        if self._is_over:  # after the line above: giving up looks there
            record.drop()
        return record

    def _path(self, file: RemoteFile) -> Any:
        return self._paths.get(id(file), file)
