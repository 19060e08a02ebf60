"""What a function gives, made into the output of a message."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import zip_longest
from typing import Any

from sansio_gradio.deadlines import Deadlines
from sansio_gradio.errors import LocalProtocolError
from sansio_gradio.protocol.diff import Edit, compute_diff
from sansio_gradio.server.app import App, Function
from sansio_gradio.server.file_values import FileValues
from sansio_gradio.server.jobs import ServerJob
from sansio_gradio.server.line import Times
from sansio_gradio.server.messages import Messages, OutputFields
from sansio_gradio.server.values import plain
from sansio_gradio.server.versions import Manner

__all__ = ["RunResults"]


class RunResults:
    """Makes outputs. Keeps how long each function takes from one output to the next."""

    def __init__(
        self, app: App, messages: Messages, deadlines: Deadlines[Hashable], files: FileValues
    ) -> None:
        self._app = app
        self._files = files
        self._messages = messages
        self._deadlines = deadlines
        self._times: dict[int, Times] = {}

    def output(self, job: ServerJob, data: Sequence[Any], *, is_generating: bool) -> OutputFields:
        """The output of *data*: one item for each result. State stays here.

        Raises:
            LocalProtocolError: JSON has no such value. The job is as it was.
        """
        function = function_of(job)
        values = list(data)
        states: dict[str, Any] = {}
        for place, slot in enumerate(function.returns[: len(values)]):
            if slot.is_state:
                states[slot.name], values[place] = values[place], None
        root = job.root
        session = "none" if job.session is None else job.session.session_hash
        slots = zip_longest(function.returns[: len(values)], values)
        sent = [
            plain(value)
            if slot is None
            else self._files.given(slot.component, value, root, f"{session}/{job.event_id}/{place}")
            for place, (slot, value) in enumerate(slots)
        ]
        if job.session is not None:
            job.session.states.update(states)
        seconds = self._deadlines.now - job.step_began
        job.step_began = self._deadlines.now
        average = self._times.setdefault(function.fn_index, Times()).add(seconds)
        return self._messages.output(
            data=sent, is_generating=is_generating, duration=seconds, average_duration=average
        )

    def changes(self, job: ServerJob, old: OutputFields, new: OutputFields) -> OutputFields:
        """The output *new*, with what has changed since *old* instead of its data."""
        kinds = [slot.component.kind for slot in function_of(job).returns]
        whole = self._app.does(Manner.JSON_IS_REPLACED)
        before, after = old["data"], new["data"]
        places = zip_longest(before[: len(after)], after, kinds[: len(after)])
        data: list[list[Edit]] = [
            [["replace", [], b]] if whole and kind == "json" else self._edits(a, b)
            for a, b, kind in places
        ]
        return {**new, "data": data}

    def empty(self, job: ServerJob) -> list[None]:
        """The data of a function that has given nothing."""
        return [None] * len(function_of(job).returns)

    def _edits(self, old: Any, new: Any) -> list[Edit]:
        try:
            return compute_diff(old, new, like=self._app.version_text)
        except LocalProtocolError:
            # This release sends no diffs, or it would fail on these values.
            return compute_diff(old, new)


def function_of(job: ServerJob) -> Function:
    """The function of a job that the application knows."""
    assert job.function is not None
    return job.function
