"""Tries somebody's client, or somebody's server, on everything that the protocol allows.

``python -m sansio_gradio_adapters conform`` is its command line; docs/conform.md explains it.
"""
