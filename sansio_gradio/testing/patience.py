"""How long a test waits for what must come: so long that only what is broken takes that long."""

from __future__ import annotations

PATIENCE = 60.0  # seconds; a machine may be busy
