"""Bytes to frames and back: event streams, HTTP, WebSockets, JSON text, URLs, cookies.

Nothing here knows Gradio. Every module takes bytes or text and returns values. Input of a peer
raises ``RemoteProtocolError`` and nothing else, and takes no more memory than a named limit allows.
"""
