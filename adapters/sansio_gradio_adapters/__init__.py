"""The I/O for ``sansio_gradio``: one module a world (``sockets``, ``asyncio``, ``trio``).

Import the world that you live in: ``from sansio_gradio_adapters.sockets import Client``.
"""
