"""The I/O for ``sansio_gradio``: one module a world (``sockets``, ``asyncio``, ``trio``).

Import the module of your world: ``from sansio_gradio_adapters.sockets import Client``.
"""

from sansio_gradio.protocol.given_file import handle_file
from sansio_gradio_adapters._environment import environment_proxies, hub_address, saved_token

__all__ = ["environment_proxies", "handle_file", "hub_address", "saved_token"]
