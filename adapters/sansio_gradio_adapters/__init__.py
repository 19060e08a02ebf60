"""The I/O for ``sansio_gradio``: one module a world (``sockets``, ``asyncio``, ``trio``).

Import the module of your world: ``from sansio_gradio_adapters.sockets import Client``.
"""
