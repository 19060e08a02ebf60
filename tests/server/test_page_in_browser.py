"""The page of an app in a real browser, narrow and wide: its forms run the endpoints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal

import pytest

from sansio_gradio.errors import AppError
from sansio_gradio.server.app import App
from sansio_gradio_adapters.server import serve_in_thread
from tests.support.browser import CHROMIUM, Browser, browser

pytestmark = [
    pytest.mark.exhaustive,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium"),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("browser")) as page:
        yield page


def kitchen(version: str | None = None, **options: Any) -> App:
    title = "A kitchen with a name that is longer than a narrow window"
    app = App(title=title, version=version, **options)

    @app.endpoint
    def bake(
        loaves: float = 2, kind: Literal["rye", "oat"] = "rye", crisp: bool = False
    ) -> Iterator[str]:
        for loaf in range(int(loaves)):
            yield f"{loaf + 1} {kind} {crisp}"

    @app.endpoint
    def burn(text: str) -> str:
        raise AppError(f"burnt: {text}")

    @app.endpoint
    def pair(value: dict[str, Any]) -> tuple[dict[str, Any], str]:
        return value, "two"

    return app


def shown(page: Browser, place: int) -> list[str]:
    """Run the endpoint of that form; what is below it then."""
    section = f'document.querySelectorAll("section")[{place}]'
    page.run(f'{section}.querySelector("button").click()')
    page.run(
        f'{section}.querySelector("pre") !== null && !{section}.querySelector("button").disabled',
        True,
    )
    texts: list[str] = page.run(f'[...{section}.querySelectorAll("pre")].map((p) => p.textContent)')
    return texts


def write(page: Browser, place: int, text: str) -> None:
    area = f'document.querySelectorAll("section")[{place}].querySelector("textarea")'
    page.run(f"{area}.value = {json.dumps(text)}")


@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("version", ["6.31.0", "3.50.2"])
def test_every_form_runs_its_endpoint(page: Browser, version: str, width: int) -> None:
    with serve_in_thread(kitchen(version)) as url:
        page.go(url, width)
        assert page.run("innerWidth") == width
        assert page.run("document.documentElement.scrollWidth <= innerWidth")  # nothing sticks out
        assert shown(page, 0) == ["2 rye False"]
        write(page, 1, "a <b>")
        assert "burnt: a <b>" in shown(page, 1)[0]
        write(page, 2, '{"a": [1]}')
        assert [json.loads(shown(page, 2)[0]), shown(page, 2)[1]] == [{"a": [1]}, "two"]
        write(page, 2, "{")
        assert "JSON" in shown(page, 2)[0]


def test_who_has_logged_in_sees_the_forms(page: Browser) -> None:
    with serve_in_thread(kitchen(auth=("ann", "secret"))) as url:
        page.go(url, 400)
        assert page.run('document.querySelectorAll("section").length') == 0
        for password in ("wrong", "secret"):
            for name, text in (("username", "ann"), ("password", password)):
                page.run(f'document.querySelector("input[name={name}]").value = "{text}"')
            page.run('document.querySelector("button").click()')
            if password == "wrong":
                said = "This name or password is wrong."
                page.run('document.querySelector("output").textContent', said)
        page.run('document.querySelectorAll("section").length', 3)
        assert shown(page, 0) == ["2 rye False"]
