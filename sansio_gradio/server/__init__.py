"""The server role: be a Gradio app, for tests, gateways and simulators.

``app`` describes the app. ``engine`` serves it in bytes: you bring sockets. ``conversation`` serves
it in HTTP messages: you bring an HTTP server. ``events`` has what both ask of you.

The rooms of a conversation: ``routes`` finds out what a request asks for. ``queue`` has the jobs
and their line, ``calls`` what goes past the queue, ``websockets`` and ``streaming_input`` the jobs
that work differently. ``channels`` says which stream or WebSocket gets a message. ``messages``,
``documents`` and ``versions`` know what each Gradio release writes.
"""
