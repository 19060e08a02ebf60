"""The server role: being a Gradio app, for tests, gateways and simulators.

``app`` says what the app is, ``conversation`` speaks in HTTP messages, ``engine`` in bytes.
"""
