"""One call of an endpoint, as a value that can be kept and submitted again."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import attrs

from sansio_gradio.errors import LocalProtocolError
from sansio_gradio.given import flag, index, one_of, seconds, text
from sansio_gradio.protocol.app_info import AppInfo, Endpoint
from sansio_gradio.protocol.endpoints import UPLOADING
from sansio_gradio.protocol.files import mapped
from sansio_gradio.protocol.given_file import GivenFile
from sansio_gradio.protocol.remote_files import as_argument
from sansio_gradio.wire.headers import Fields, checked
from sansio_gradio.wire.snapshot import mapping, snapshot


class Want(enum.Flag):
    """Which events of a job you want besides its last one. Events that you do not want cost no
    time."""

    RESULT = 0
    """No others: the last event has the result, or the error with all outputs."""
    MESSAGES = enum.auto()
    """A ``MessageReceived`` for each message of the server, as it was sent."""
    STATUS = enum.auto()
    """A ``StatusUpdated`` whenever the place in the queue, the progress or the state changes, and
    before that an ``UploadProgress`` for each part of a file that is sent."""
    OUTPUTS = enum.auto()
    """An ``Output`` for each value that is yielded."""
    GROWTH = enum.auto()
    """An ``OutputsGrew`` now and then, if ``OUTPUTS`` is not wanted: far less work."""
    RECEIPTS = enum.auto()
    """An ``Accepted`` when the server has taken the job. Those of the pieces of a streaming input
    always come."""
    ALL = MESSAGES | STATUS | OUTPUTS | GROWTH | RECEIPTS
    """All of them."""


_CHECKS: Final[Mapping[str, tuple[object, Callable[[Any, str], object]]]] = {
    "api_name": (None, text),
    "fn_index": (None, index),
    "component": (None, index),
    "function": ("", text),
    "headers": (None, lambda fields, _: checked(fields)),
    "timeout": (None, seconds),
    "isolated": (False, flag),
    "want": (Want.ALL, lambda want, name: one_of(want, Want, name)),
    "event_data": (None, snapshot),
    "trigger_id": (None, index),
    "extra": (None, mapping),
}
"""The options of a call: the default, which needs no check, and the check."""


@attrs.frozen(kw_only=True)
class Call:
    """The arguments and options of a call; see ``Session.submit``.

    The arguments are copied: later changes of the originals have no effect. Files that
    ``handle_file`` has marked may stand anywhere in them.

    Raises:
        LocalProtocolError: an argument is not JSON, or an option has an invalid value.
    """

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = attrs.field(factory=dict[str, Any])
    api_name: str | None = None
    fn_index: int | None = None
    component: int | None = None
    function: str = ""
    """The name of a function of ``component``."""
    headers: Fields | None = None
    timeout: float | None = None
    isolated: bool = False
    event_data: Any = None
    trigger_id: int | None = None
    extra: Mapping[str, Any] | None = None
    want: Want = Want.ALL
    whole_input: bool = False
    """A streaming input ends behind the arguments."""
    is_upload: bool = False
    """No endpoint is called: the one argument is a file to upload, and its place the result."""
    files: tuple[GivenFile, ...] = attrs.field(init=False, default=())
    """The files among the arguments, in order."""

    def __attrs_post_init__(self) -> None:
        give = partial(object.__setattr__, self)
        files: list[GivenFile] = []
        if self.args or type(self.args) is not tuple:
            give("args", tuple(snapshot(self.args, "args", mark=as_argument, marks=files)))
        if self.kwargs or type(self.kwargs) is not dict:
            give("kwargs", mapping(self.kwargs, "kwargs", mark=as_argument, marks=files))
        else:
            give("kwargs", {})  # the caller may add to his own
        give("files", tuple(files))
        for name, (default, check) in _CHECKS.items():
            value = getattr(self, name)
            if value is not default:
                give(name, check(value, name))

    def with_files(self, change: Callable[[GivenFile], GivenFile]) -> Call:
        """The same call, its files replaced by what *change* makes of them; equal ones once."""
        if not self.files:
            return self
        changed: dict[object, GivenFile] = {}

        def replace(file: GivenFile) -> GivenFile:
            if file.key not in changed:
                changed[file.key] = change(file)
            return changed[file.key]

        args, kwargs = mapped(list(self.args), replace), mapped(self.kwargs, replace)
        return attrs.evolve(self, args=tuple(args), kwargs=kwargs)

    @classmethod
    def of_upload(cls, file: GivenFile, timeout: float | None = None, *, want: Want) -> Call:
        """The call that uploads a file, and nothing else."""
        return cls(args=(file,), timeout=timeout, want=want, is_upload=True)

    @property
    def options(self) -> list[str]:
        """Those of the names that might be meant for a parameter of the endpoint."""
        given: list[str] = []
        for name in ("headers", "timeout", "isolated", "event_data", "trigger_id"):
            value = getattr(self, name)
            if value is not None and value is not False:
                given.append(name)
        return given

    def endpoint_of(self, app: AppInfo) -> Endpoint:
        """What is called.

        Raises:
            LocalProtocolError: the app has no such thing.
        """
        if self.is_upload:
            if not app.files.uploads:
                raise LocalProtocolError(
                    "Before Gradio 3.19 an app has no upload: give handle_file(...) with the call."
                )
            return UPLOADING
        if self.component is not None:
            return app.server_function(self.component, self.function)
        return app.endpoint(self.api_name, self.fn_index)
