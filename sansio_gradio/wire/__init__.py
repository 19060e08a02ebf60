"""Bytes to frames and back: event streams, HTTP, WebSockets, JSON text, URLs, cookies.

Nothing here knows Gradio. Every module takes bytes or text and returns values; what a peer sends
can raise ``RemoteProtocolError`` and nothing else, in memory that a named limit bounds.
"""
