"""Uploads: forms with files, read as they come, and how far they are (gradio routes.py: upload).

An upload lives as long as its request. What it kept stays when it ends well.
"""

from __future__ import annotations

from typing import Final

import attrs

from sansio_gradio.server.app import App
from sansio_gradio.server.events import TEXT, SendResponse, StorageRaised
from sansio_gradio.server.files import FileDraft, FileStore
from sansio_gradio.server.limits import ServerLimits
from sansio_gradio.server.names import base_name
from sansio_gradio.server.queue import Queue
from sansio_gradio.server.requests import BROKEN, Refusal, Request
from sansio_gradio.server.upload_progress import UploadReports
from sansio_gradio.server.versions import Manner
from sansio_gradio.wire.form import (
    FormError,
    FormReader,
    PartData,
    PartStarted,
    boundary_of,
    is_form,
)
from sansio_gradio.wire.headers import header

__all__ = ["Uploads"]

FIELD: Final = "files"
_MISSING: Final = {
    "detail": [{"type": "missing", "loc": ["body", FIELD], "msg": "Field required", "input": None}]
}
_NOT_A_FILE: Final = "Value error, Expected UploadFile, received: <class 'str'>"
_NO_FILE: Final = {
    "detail": [{"type": "value_error", "loc": ["body", FIELD, 0], "msg": _NOT_A_FILE}]
}


@attrs.define(eq=False)
class _Upload:
    """One request to upload, while its body comes.

    ``drafts``: its files, with the names that they are to get; the last one may be incomplete, and
    then ``is_coming``. ``parts`` and ``texts``: how many parts there were, and how many were no
    files.
    """

    request: Request
    reader: FormReader
    upload_id: str | None
    drafts: list[tuple[PartStarted, FileDraft]] = attrs.field(
        factory=list[tuple[PartStarted, FileDraft]]
    )
    is_coming: bool = False
    parts: int = 0
    texts: int = 0


class Uploads:
    """The uploads that are under way, by the exchange of their requests."""

    def __init__(
        self,
        app: App,
        queue: Queue,
        files: FileStore,
        progress: UploadReports,
        limits: ServerLimits,
    ) -> None:
        self._app = app
        self._queue = queue
        self._files = files
        self._progress = progress
        self._limits = limits
        self._open: dict[int, _Upload] = {}

    def begin(self, request: Request) -> None:
        """A client begins to upload. Its body comes by ``data`` and ``end``.

        Raises:
            Refusal: it is no form.
        """
        kind = header(request.headers, "content-type") or ""
        checked = self._app.does(Manner.FORM_IS_CHECKED)
        if not is_form(kind):
            if checked:
                raise Refusal(422, _MISSING)
            raise Refusal(400, {"detail": "Invalid content type."})
        boundary = boundary_of(kind)
        if boundary is None:
            text = "Missing boundary in multipart."
            raise Refusal(400, {"detail": text}) if checked else Refusal(400, text, TEXT)
        upload_id = request.query.get("upload_id", [None])[-1]
        self._open[request.exchange] = _Upload(request, FormReader(boundary), upload_id)
        self._progress.began(upload_id)

    def data(self, exchange: int, data: bytes) -> SendResponse | None:
        """Some of the body has come. Returns the answer if the upload is refused already.

        Ignored where no upload is under way.
        """
        upload = self._open.get(exchange)
        if upload is None:
            return None
        try:
            self._read(upload, data)
        except Refusal as refusal:
            self.drop(exchange)
            return SendResponse(exchange, *refusal.args)
        except OSError as error:
            self.drop(exchange)
            return self._not_kept(exchange, error)
        return None

    def end(self, exchange: int) -> SendResponse | None:
        """The body is complete. Returns the answer, which is None where no upload is under way."""
        upload = self._open.get(exchange)
        if upload is None:
            return None
        try:
            self._check(upload)
            paths = [self._keep(started, draft) for started, draft in self._complete(upload)]
            return SendResponse(exchange, 200, paths)
        except Refusal as refusal:
            return SendResponse(exchange, *refusal.args)
        except OSError as error:
            return self._not_kept(exchange, error)
        finally:
            self.drop(exchange)

    def drop(self, exchange: int) -> None:
        """An upload is over. The files that were not kept are lost."""
        upload = self._open.pop(exchange, None)
        if upload is not None:
            self._progress.ended(upload.upload_id)
            for _, draft in upload.drafts:
                draft.drop()

    def _not_kept(self, exchange: int, error: OSError) -> SendResponse:
        self._queue.tell(StorageRaised(error=error))
        return SendResponse(exchange, *BROKEN)

    # The parts

    def _read(self, upload: _Upload, data: bytes) -> None:
        try:
            events = upload.reader.receive_data(data)
        except FormError as error:
            raise self._unreadable(error) from error
        for event in events:
            if isinstance(event, PartStarted):
                self._start(upload, event)
            elif isinstance(event, PartData) and upload.is_coming:
                self._add(upload, event.data)
            else:
                upload.is_coming = False

    def _start(self, upload: _Upload, part: PartStarted) -> None:
        upload.parts += 1
        if upload.parts > self._limits.parts:
            raise self._unreadable(
                FormError(f"Too many files. Maximum number of files is {self._limits.parts}.")
            )
        if part.field == FIELD and part.filename is not None:
            upload.is_coming = True
            upload.drafts.append((part, self._files.begin()))
        elif part.field == FIELD:
            upload.texts += 1

    def _add(self, upload: _Upload, data: bytes) -> None:
        part, draft = upload.drafts[-1]
        largest, is_late = self._app.max_file_size, self._app.does(Manner.SIZE_IS_LATE)
        size = draft.size if is_late else draft.size + len(data)
        if largest is not None and size > largest:
            text = f"File size exceeded maximum allowed size of {largest} bytes."
            raise Refusal(413, text, TEXT)
        if not draft.write(data):
            raise Refusal(413, "Request Entity Too Large", TEXT)
        self._progress.read(upload.upload_id, self._said_name(part), len(data))

    # The end

    def _check(self, upload: _Upload) -> None:
        """Refuse a form that has no files for us."""
        checked = self._app.does(Manner.FORM_IS_CHECKED)
        if not upload.parts and self._app.does(Manner.EMPTY_FORM_IS_BROKEN):
            raise self._unreadable(FormError("There are no parts."))
        if upload.texts:
            raise Refusal(422, _NO_FILE) if checked else Refusal(*BROKEN)
        if checked and not self._complete(upload):
            raise Refusal(422, _MISSING)

    def _complete(self, upload: _Upload) -> list[tuple[PartStarted, FileDraft]]:
        """Its files without the one that was cut off: servers answer as if that were not there."""
        return upload.drafts[: len(upload.drafts) - upload.is_coming]

    def _keep(self, part: PartStarted, draft: FileDraft) -> str:
        """Keep a file. Returns its path."""
        name = base_name(self._said_name(part))
        if name != "..":
            return draft.keep(name, part.content_type).path
        if self._app.does(Manner.DOTS_NAME_FOLDER):
            return draft.folder
        if self._app.does(Manner.FORM_IS_CHECKED):
            raise Refusal(*BROKEN)
        raise Refusal(400, {"detail": "Invalid file name: .."})

    def _said_name(self, part: PartStarted) -> str:
        if part.extended_filename is not None and self._app.does(Manner.STARRED_NAME_WINS):
            return part.extended_filename
        return part.filename or ""

    def _unreadable(self, error: FormError) -> Refusal:
        if self._app.does(Manner.FORM_IS_CHECKED):
            return Refusal(400, {"detail": "There was an error parsing the body"})
        if error.is_too_large and not self._app.does(Manner.SIZE_IS_LATE):
            return Refusal(413, str(error), TEXT)
        if self._app.does(Manner.BROKEN_FORM_IS_TOLD):
            return Refusal(400, f"Could not parse multipart request: {error}", TEXT)
        return Refusal(*BROKEN)
