"""An engine with sockets, and without a thread: to embed in an existing loop.

A game calls ``poll`` once for each frame; a tool that only waits calls ``run_once``::

    engine = Engine(entropy=os.urandom)
    session = engine.session("http://127.0.0.1:7860")
    with Loop(engine) as loop:
        loop.attach(session.id, print)
        job = session.submit("Hello", api_name="/chat")
        while ...:
            loop.run_once()
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from sansio_gradio_adapters._driver import EngineDriver, Sink
from sansio_gradio_adapters._network import Network
from sansio_gradio_adapters._polled import Polled

if TYPE_CHECKING:
    import ssl

    from sansio_gradio.client.engine import Engine


class Loop(Polled):
    """Runs one engine. Call everything from one thread, except ``wake``."""

    def __init__(
        self,
        engine: Engine,
        *,
        ssl_context: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``ssl_context``: for https; None: the system's trust store.

        ``clock`` tells the time, in monotonic seconds.
        """
        network = Network(clock)
        self._engine_driver = EngineDriver(engine, network, ssl_context=ssl_context, clock=clock)
        super().__init__(network, self._engine_driver, clock)

    def attach(self, session: int, sink: Sink) -> None:
        """Hand the events of a session to *sink*, which is called in ``run_once`` and ``poll``.

        The value of an ``Output`` must be taken before *sink* returns.
        """
        self._engine_driver.sinks[session] = sink

    def detach(self, session: int) -> None:
        """Drop the events of a session from now on."""
        self._engine_driver.sinks.pop(session, None)
