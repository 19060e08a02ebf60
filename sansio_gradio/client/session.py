"""One session on an engine: what the application asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sansio_gradio.client.conversation import Conversation
from sansio_gradio.client.headers import Fields
from sansio_gradio.client.job import Want
from sansio_gradio.protocol.app_info import AppInfo, Endpoint


class Session:
    """A conversation whose requests the engine carries; made by ``Engine.session``.

    The verbs are those of ``Conversation``; their events come from ``Engine.next_event``.
    """

    def __init__(self, conversation: Conversation, touch: Callable[[Conversation], None]) -> None:
        self._conversation = conversation
        self._touch = touch

    @property
    def id(self) -> int:
        """The number that this session's events carry."""
        return self._conversation.id

    @property
    def app(self) -> AppInfo | None:
        """What is known of the app; None until ``Connected``."""
        return self._conversation.app

    @property
    def protocol(self) -> str | None:
        """The protocol spoken; None until ``Connected``."""
        return self._conversation.protocol

    @property
    def session_hash(self) -> str:
        """The name that the server knows this session by."""
        return self._conversation.session_hash

    @property
    def url(self) -> str:
        """The address of the app's page."""
        return self._conversation.url

    def submit(
        self,
        *args: Any,
        api_name: str | None = None,
        fn_index: int | None = None,
        headers: Fields | None = None,
        timeout: float | None = None,
        isolated: bool = False,
        event_data: Any = None,
        trigger_id: int | None = None,
        want: Want = Want.ALL,
        **kwargs: Any,
    ) -> int:
        """Call an endpoint; returns the job's number. See ``Conversation.submit``."""
        self._touch(self._conversation)
        return self._conversation.submit(
            *args,
            api_name=api_name,
            fn_index=fn_index,
            headers=headers,
            timeout=timeout,
            isolated=isolated,
            event_data=event_data,
            trigger_id=trigger_id,
            want=want,
            **kwargs,
        )

    def cancel(self, job: int) -> bool:
        """Give a job up; False: it is over already. See ``Conversation.cancel``."""
        self._touch(self._conversation)
        return self._conversation.cancel(job)

    def send(self, job: int, *chunk: Any, latest: bool = False) -> None:
        """Give a streaming input its next piece. See ``Conversation.send``."""
        self._touch(self._conversation)
        self._conversation.send(job, *chunk, latest=latest)

    def end_input(self, job: int) -> None:
        """End a streaming input. See ``Conversation.end_input``."""
        self._touch(self._conversation)
        self._conversation.end_input(job)

    def endpoint_of(self, job: int) -> Endpoint | None:
        """The endpoint that a job under way calls. See ``Conversation.endpoint_of``."""
        return self._conversation.endpoint_of(job)

    def request_info(self) -> None:
        """Ask for ``/info``. See ``Conversation.request_info``."""
        self._touch(self._conversation)
        self._conversation.request_info()

    def reset(self) -> None:
        """Go on in a new session. See ``Conversation.reset``."""
        self._touch(self._conversation)
        self._conversation.reset()

    def close(self) -> None:
        """Cancel all jobs and leave. See ``Conversation.close``."""
        self._touch(self._conversation)
        self._conversation.close()
