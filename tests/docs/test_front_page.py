"""The commands of the front page print what it says, asked of the server role."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sansio_gradio.server.app import App
from sansio_gradio_adapters.server import serve_in_thread
from tests.support.front_page import CURL, app, commands, is_shown, run


@pytest.mark.skipif(CURL is None, reason="there is no curl")
def test_the_commands_print_what_the_page_says() -> None:
    def count(n: float) -> Iterator[str]:
        for step in range(int(n)):
            yield f"step {step}"

    served = App(version="6.31.0")
    served.add_function(count)
    (config, _), (join, answer), (listen, stream) = commands()
    with serve_in_thread(served) as url:
        assert '"protocol":"sse_v3"' in run(config, url).replace(": ", ":")
        assert is_shown(run(join, url), answer)
        assert is_shown(run(listen, url), stream)


def test_the_comparison_tells_apart() -> None:
    _, (_, answer), (_, stream) = commands()
    assert is_shown(answer.replace("9", "8"), answer)
    assert not is_shown("{}", answer)
    assert not is_shown(stream.replace("step 2", "step 3"), stream)
    assert not is_shown('{"b":1}', '{"a":1,…')
    assert is_shown('{"a":1,"b":2,"c":3}', '{"a":1,…"c":3…')
    assert "def count(n)" in app()
