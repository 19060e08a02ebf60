"""The client role: ``Conversation`` speaks in HTTP messages, ``Engine`` in bytes."""
