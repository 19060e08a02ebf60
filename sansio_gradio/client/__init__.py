"""The client role: ``Conversation`` at the altitude of HTTP messages, ``Engine`` at that of bytes."""
