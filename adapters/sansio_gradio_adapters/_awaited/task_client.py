"""The client of worlds with ``await``, but for what each world opens it with."""

from __future__ import annotations

from sansio_gradio_adapters._awaited.client import OpenClient
from sansio_gradio_adapters._awaited.files import Files
from sansio_gradio_adapters._awaited.of_tasks import JobCancelledError
from sansio_gradio_adapters._machine import TaskWorld


class TaskClient(OpenClient):
    """A client of one Gradio app, connected when it is opened.

    Raises:
        ConnectFailed, AuthenticationError, RemoteProtocolError, TooManyRequestsError,
        DeadlineExceeded: when it is opened: the app could not be reached or understood; all are
        ``ConnectionError``.
        LocalProtocolError: ``src`` or another option is invalid.
    """

    _world: TaskWorld | None = None  # from its opening on

    async def close(self) -> None:
        """Cancel all jobs and close; takes at most ``Timeouts.close``.

        Closing twice is fine. In a forked process nothing is done: the connections are the
        parent's.
        """
        self._is_open = False
        core, world = self._core, self._world
        if world is None or not core.is_own_process:
            return
        machine = world.machine
        try:
            machine.do_soon(core.session.close)
            await machine.wait_until(core.changed, lambda: core.is_closed)
        except BaseException:  # there is no more time for goodbyes
            core.break_down(JobCancelledError())
            raise
        finally:
            machine.shut_down()
        await machine.wait_until(world.rest.changed, lambda: not world.rest)

    async def __aexit__(self, *error: object) -> None:
        await self._exit()

    async def _exit(self) -> None:
        """The ``async with`` is left."""
        await self.close()

    async def _open(self, world: TaskWorld) -> None:
        """Connect, in a world that has just been made."""
        self._world, self._machine = world, world.machine
        self._files = Files(self._core, world.machine, self)
        try:
            world.step_soon()
            await self._connect(world.machine)
        except BaseException:
            await self.close()
            raise
