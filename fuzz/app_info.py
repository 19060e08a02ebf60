"""Invariant: whatever a server says of its app, reading it gives an app or one of the documented
errors, and everything can be asked of that app; what callers are shown is text for a terminal.

The data is a JSON list of the config and the info.
"""

from __future__ import annotations

import json
from contextlib import suppress

from sansio_gradio.errors import AuthenticationError, LocalProtocolError, RemoteProtocolError
from sansio_gradio.protocol.app_info import AppInfo
from sansio_gradio.wire.json import loads


def target(data: bytes) -> None:
    try:
        match loads(data):
            case [config, info]:
                app = AppInfo.from_config(config)
                _ask(app)
                _ask(app.with_info(info))
            case config:
                _ask(AppInfo.from_config(config))
    except (RemoteProtocolError, AuthenticationError):
        return


def _ask(app: AppInfo) -> None:
    assert app.describe(all_endpoints=True).replace("\n", "").isprintable()
    app.as_dict(all_endpoints=True)
    for api_name, fn_index in ((None, None), ("predict", None), (None, 0), ("", 1)):
        with suppress(LocalProtocolError):
            app.endpoint(api_name, fn_index)
    for endpoint in app.endpoints.values():
        args = [1] * len(endpoint.parameters)
        assert len(endpoint.bind(args, {})) == len(endpoint.inputs)
        assert list(endpoint.signature.parameters) == [p.name for p in endpoint.parameters]
        by_name = {p.name: 1 for p in endpoint.parameters}
        assert endpoint.bind((), by_name) == endpoint.bind(args, {})
        try:
            endpoint.bind((), {})
        except LocalProtocolError:
            assert not all(p.has_default for p in endpoint.parameters)


def grown(times: int) -> bytes:
    """An input that is *times* as long, for counting the work."""
    components = [{"id": 1, "type": "textbox", "props": {"label": "x"}}]
    function = {"inputs": [1], "outputs": [1], "queue": True}
    functions = [{**function, "id": n, "api_name": f"f{n}"} for n in range(30 * times)]
    config = {"version": "6.31.0", "protocol": "sse_v3", "components": components}
    return json.dumps({**config, "dependencies": functions}).encode()
