"""What view_api shows."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import sample_apps
import transcripts

from sansio_gradio.protocol.app_info import AppInfo


def test_an_endpoint_is_a_paragraph() -> None:
    config = sample_apps.config(
        {"api_name": "count", "inputs": [2, 3, 1], "outputs": [1], "api_description": "Counts."}
    )
    count: Any = {
        "parameters": [sample_apps.default("n", 5), sample_apps.told("text")],
        "returns": [
            {
                "label": "Numbers",
                "component": "Textbox",
                "python_type": {"type": "str", "description": "one\na line"},
            }
        ],
    }
    info: Any = {"named_endpoints": {"/count": count}, "unnamed_endpoints": {}}
    app = AppInfo.from_config(config).with_info(info)
    assert app.describe() == (
        "Gradio 6.31.0, one endpoint\n"
        "\n"
        'predict(n: str = 5, text: str, api_name="/count") -> str\n'
        "    Counts.\n"
        '    n        Textbox "N"\n'
        '    text     Textbox "Text"\n'
        '    returns  Textbox "Numbers": one a line'
    )


def test_an_app_may_have_none_or_several() -> None:
    assert AppInfo.from_config(sample_apps.config()).describe() == "Gradio 6.31.0, no endpoints"
    app = AppInfo.from_config(
        sample_apps.config({"api_name": "a"}, {"api_name": None}, version=None)
    )
    assert app.describe() == (
        "Gradio of unknown version, 2 endpoints\n"
        "\n"
        'predict(api_name="/a") -> ()\n'
        "\n"
        "predict(fn_index=1) -> ()"
    )


def test_only_those_that_can_be_called_are_shown() -> None:
    app = AppInfo.from_config(
        sample_apps.config(
            {"api_name": "public"},
            {"api_name": "undocumented", "show_api": False},
            {"api_name": "private", "api_visibility": "private"},
            {"api_name": "in_browser", "backend_fn": False},
        )
    )
    assert list(app.as_dict()["named_endpoints"]) == ["/public"]
    assert list(app.as_dict(all_endpoints=True)["named_endpoints"]) == ["/public", "/undocumented"]
    assert "undocumented" not in app.describe()
    assert "private" not in app.describe(all_endpoints=True)
    assert "/undocumented" in app.describe(all_endpoints=True)


def test_a_servers_text_cannot_steer_a_terminal() -> None:
    config = sample_apps.config(
        {"api_name": "a\x1b[2J", "api_description": "b\x1b[2J\x07\nc" + "d" * 9999}
    )
    text = AppInfo.from_config({**config, "version": "6\x1b.1"}).describe()
    assert text.replace("\n", "").isprintable()
    assert len(text) < 500
    assert len(text.splitlines()) == 5


def test_as_a_dict_it_is_what_the_newest_server_says() -> None:
    recording = transcripts.load("6.31.0", "add")
    info: Any = copy.deepcopy(recording.info)
    for entry in info["named_endpoints"].values():
        del entry["code_snippets"]
    assert sample_apps.recorded("6.31.0").as_dict() == info


@pytest.mark.parametrize("version", transcripts.VERSIONS)
def test_as_a_dict_it_has_the_same_keys_for_every_server(version: str) -> None:
    newest = sample_apps.recorded("6.31.0").as_dict()["named_endpoints"]["/add"]
    entry = sample_apps.recorded(version).as_dict()["named_endpoints"]["/add"]
    assert list(entry) == list(newest)
    assert [list(p) for p in entry["parameters"]] == [list(p) for p in newest["parameters"]]
    assert [list(r) for r in entry["returns"]] == [list(r) for r in newest["returns"]]


def test_functions_without_a_name_go_by_their_number() -> None:
    app = AppInfo.from_config(
        sample_apps.config({"id": 4}, {"id": 9, "api_name": "a"}, {"api_name": "a"})
    )
    shown = app.as_dict()
    assert list(shown["unnamed_endpoints"]) == ["4"]
    assert list(shown["named_endpoints"]) == ["/a"]


def test_the_dict_is_the_callers_own() -> None:
    app = AppInfo.from_config(sample_apps.config({"api_name": "f", "inputs": [1]}))
    app = app.with_info(sample_apps.info(f=[sample_apps.default("a", [1])]))
    for _ in range(2):
        (parameter,) = app.as_dict()["named_endpoints"]["/f"]["parameters"]
        assert parameter["parameter_default"] == [1]
        assert parameter["type"] == {"type": "string"}
        parameter["parameter_default"].append(2)
        parameter["type"].clear()
