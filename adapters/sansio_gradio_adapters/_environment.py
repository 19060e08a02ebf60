"""What is read from environment variables, here and nowhere else."""

from __future__ import annotations

import os
from typing import Final

from sansio_gradio.client.credentials import token_of
from sansio_gradio.client.proxies import Proxies
from sansio_gradio.errors import LocalProtocolError
from sansio_gradio.protocol.spaces import HUB, hub_base

_YES: Final = frozenset({"1", "ON", "YES", "TRUE"})


def environment_proxies() -> Proxies:
    """The proxies of ``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``, in upper or
    lower case, as they are now.

    Pass it as ``proxy`` to ``Engine.session``, which reads no environment by itself. This machine
    (localhost, 127.0.0.0/8, ::1) is never asked through them.
    """
    return Proxies.from_environment(os.environ)


def hub_address() -> str:
    """The address of the Hub: ``HF_ENDPOINT``, or https://huggingface.co.

    Raises:
        LocalProtocolError: ``HF_ENDPOINT`` is not an http or https URL.
    """
    given = os.environ.get("HF_ENDPOINT") or HUB
    try:
        return str(hub_base(given))
    except LocalProtocolError as error:
        raise LocalProtocolError(f"The environment variable HF_ENDPOINT: {error}") from error


def saved_token() -> str | None:
    """The token that the user has saved; None: there is none, or it must not be used unasked.

    It is in ``HF_TOKEN``, in ``HUGGING_FACE_HUB_TOKEN``, or in a file: ``HF_TOKEN_PATH``, else
    ``token`` in the folder ``HF_HOME``, else ``huggingface/token`` in ``XDG_CACHE_HOME`` (default:
    ``~/.cache``). With ``HF_HUB_DISABLE_IMPLICIT_TOKEN=1`` it is not looked for.

    Raises:
        LocalProtocolError: the file is there, and cannot be read.
    """
    get = os.environ.get
    if get("HF_HUB_DISABLE_IMPLICIT_TOKEN", "").upper() in _YES:
        return None
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if (token := token_of(get(name), name)) is not None:
            return token
    cache = get("XDG_CACHE_HOME") or os.path.join("~", ".cache")
    home = get("HF_HOME") or os.path.join(cache, "huggingface")
    path = get("HF_TOKEN_PATH") or os.path.join(home, "token")
    path = os.path.expanduser(os.path.expandvars(path))
    try:
        with open(path, encoding="utf-8") as file:
            return token_of(file.read(), f"the token in {path}")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeError) as error:
        raise LocalProtocolError(
            f"The saved token in {path} cannot be read: {error}. Pass token=, or token=False to do"
            " without."
        ) from error
