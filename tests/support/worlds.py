"""All worlds that there are on this machine."""

from __future__ import annotations

import contextlib
from typing import TypeAlias

from sansio_gradio.testing.trio_world import Trio
from sansio_gradio.testing.worlds import Asyncio, Threads, World

CancellingWorld: TypeAlias = Asyncio | Trio
CANCELLING: dict[str, CancellingWorld] = {"asyncio": Asyncio(), "trio": Trio()}
"""Those in which whoever waits can be cancelled."""
with contextlib.suppress(ImportError):
    import uvloop

    CANCELLING["uvloop"] = Asyncio(uvloop.new_event_loop)
WORLDS: dict[str, World] = {"sockets": Threads(), **CANCELLING}
