"""The blocking client: ``Client``, ``Job`` and ``MessageStream``; and ``Loop``, for embedding.

One daemon thread for each client moves the bytes; jobs have no threads. Waiting blocks without
polling. Callbacks of ``add_done_callback`` run in that thread (after ``cancel``: in the caller's)
and must not wait for the client.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sansio_gradio.protocol.app_info import Endpoint
from sansio_gradio.protocol.given_file import handle_file
from sansio_gradio_adapters._blocking.client import OpenClient
from sansio_gradio_adapters._blocking.files import Files, FileStream, RemoteFile
from sansio_gradio_adapters._blocking.jobs import Job, MessageStream, Results
from sansio_gradio_adapters._blocking.of_threads import JobCancelledError, Reader
from sansio_gradio_adapters._blocking.reading import Closing
from sansio_gradio_adapters._client import ClientCore
from sansio_gradio_adapters._jobs import OutputUpdate
from sansio_gradio_adapters._options import ClientOptions
from sansio_gradio_adapters._worker import Worker
from sansio_gradio_adapters.loop import Loop

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from sansio_gradio.server.app import App

__all__ = [
    "Client",
    "FileStream",
    "Job",
    "JobCancelledError",
    "Loop",
    "MessageStream",
    "OutputUpdate",
    "Reader",
    "RemoteFile",
    "Results",
    "handle_file",
    "serving",
]


class Client(OpenClient, Closing):
    """A client of one Gradio app, connected when it is made.

    Raises:
        ConnectFailed, AuthenticationError, RemoteProtocolError, TooManyRequestsError,
        DeadlineExceeded: the app could not be reached or understood; all are ``ConnectionError``.
        LocalProtocolError: ``src`` or another option is invalid.
    """

    def _set_up(self, options: ClientOptions) -> None:
        super()._set_up(options)
        core = self._core
        self._worker = worker = Worker(core, self._ssl_context)
        self._files = Files(core, worker, self)
        # One that is alive at exit is no mistake: it ends with the process.
        self._unclosed = weakref.finalize(self, _warn_and_close, repr(self), core, worker)
        self._unclosed.atexit = False
        try:
            worker.start()
            self._connect(worker)
        except BaseException:
            worker.do_soon(core.session.close)
            self._unclosed.detach()
            raise

    @property
    def endpoints(self) -> Mapping[int, Endpoint]:
        """As ``get_endpoints``."""
        return self.get_endpoints()

    def close(self) -> None:
        """Cancel all jobs and close; takes at most ``Timeouts.close``.

        Closing twice is fine. In a callback it does not wait. In a forked process nothing is done:
        the connections are the parent's.
        """
        worker = self._worker
        if worker is not None and self._core.is_own_process:
            self._is_open = False
            worker.do_soon(self._core.session.close)
            self._unclosed.detach()
            if not worker.is_current:
                worker.join()


def _warn_and_close(name: str, core: ClientCore, worker: Worker) -> None:
    if core.is_own_process:
        worker.do_soon(core.session.close)
        if core.app is not None:
            warnings.warn(f"{name} was not closed", ResourceWarning, stacklevel=2)


def serving(
    app: App, host: str = "127.0.0.1", port: int = 0, **options: Any
) -> AbstractContextManager[str]:
    """Serve *app* while the ``with`` is open. Gives its address.

    Needs no Gradio. ``options`` are those of ``sansio_gradio_adapters.server.Server``, such as
    ``ssl_context`` for https.
    """
    # Not above: most clients serve nothing.
    from sansio_gradio_adapters import server  # noqa: PLC0415

    return server.serve_in_thread(app, host, port, **options)
