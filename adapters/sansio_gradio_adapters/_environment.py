"""What is read from environment variables, and nowhere else."""

from __future__ import annotations

import os

from sansio_gradio.client.proxies import Proxies


def environment_proxies() -> Proxies:
    """The proxies of ``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``, in upper or
    lower case, as they are now.

    Pass it as ``proxy`` to ``Engine.session``, which reads no environment by itself. This machine
    (localhost, 127.0.0.0/8, ::1) is never asked through them.
    """
    return Proxies.from_environment(os.environ)
