"""The page of an app: it describes each endpoint for the forms, and lets no text out of place."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal

import pytest

from sansio_gradio.server.app import App
from sansio_gradio.server.components import State
from sansio_gradio.server.page import page


def told(app: App, *, wants_login: bool = False) -> Any:
    """What the page's script is told."""
    text = page(app, {"x": "</script><b>"}, wants_login=wants_login)
    found = re.search(r'<script type="application/json" id="app">(.*?)</script>', text)
    assert found is not None
    return json.loads(found[1])


def greet(
    name: str,
    loud: bool = True,
    how: Literal["kind", "rude"] = "kind",
    seen: Annotated[list[str] | None, State] = None,
) -> tuple[str, Annotated[list[str], State]]:
    """Says </script> hello."""
    raise NotImplementedError


def test_each_endpoint_has_what_its_form_needs() -> None:
    app = App()
    app.add_function(greet)
    app.add("stop", cancels=["greet"])
    (endpoint,) = told(app)["endpoints"]
    assert endpoint["name"] == "greet"
    assert endpoint["description"] == "Says </script> hello."
    assert endpoint["returns"] == ["value_0", None]
    assert endpoint["parameters"] == [
        {"name": "name", "kind": "textbox", "default": None, "choices": None},
        {"name": "loud", "kind": "checkbox", "default": True, "choices": None},
        {"name": "how", "kind": "dropdown", "default": "kind", "choices": ["kind", "rude"]},
        {"name": "seen", "kind": "state", "default": None, "choices": None},
    ]


@pytest.mark.parametrize(
    ("version", "call", "plain"),
    [
        ("6.31.0", "gradio_api/call", "gradio_api/run"),
        ("4.44.1", "call", "run"),
        ("3.50.2", None, "run"),
        ("3.4.1", None, "api"),
    ],
)
def test_the_forms_use_the_routes_of_the_release(version: str, call: Any, plain: str) -> None:
    said = told(App(version=version))
    assert (said["call"], said["plain"]) == (call, plain)


@pytest.mark.parametrize(
    ("version", "steps"), [("3.1.7", False), ("3.50.2", True), ("4.0.2", False), ("6.31.0", False)]
)
def test_a_form_asks_again_where_each_call_gives_one_output(version: str, steps: bool) -> None:
    app = App(version=version)
    app.add("count", generator=True)
    app.add("once")
    assert [endpoint["steps"] for endpoint in told(app)["endpoints"]] == [steps, False]


def test_who_must_log_in_is_shown_nothing_else() -> None:
    app = App(auth=("a", "b"), auth_message="who?")
    app.add_function(greet)
    said = told(app, wants_login=True)
    assert (said["login"], said["message"], said["endpoints"]) == (True, "who?", [])


def test_no_text_of_the_app_leaves_its_place() -> None:
    app = App(title="</script><img src=x>")
    app.add_function(greet)
    text = page(app, {"x": "</script><b>"}, wants_login=False)
    assert text.count("</script>") == 3
    assert "<img" not in text
    assert "<b>" not in text


def test_the_page_needs_nothing_from_elsewhere_and_runs_no_text() -> None:
    text = page(App(), {}, wants_login=False)
    for word in ("http:", "https:", "//cdn", "eval(", "new Function", "innerHTML", "import "):
        assert word not in text
