"""The documents have the keys of real ones, in their order, and say the same of the same app."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import pytest

from sansio_gradio.server.app import App, Slot
from sansio_gradio.server.components import State
from sansio_gradio.server.documents import Documents
from tests.support.served import recorded_app, recorded_second_app
from tests.support.transcripts import load, versions

# Keys of real servers that ours leaves out, each with its reason.
LOOKS = "how a browser's page looks"
PAGE_ONLY = "for a browser's page"
LEFT_OUT = {
    "body_css": LOOKS,
    "theme_hash": LOOKS,
    "vibe_mode": PAGE_ONLY,
    "footer_links": LOOKS,
    "run_history": PAGE_ONLY,
    "pwa": PAGE_ONLY,
    "i18n_translations": LOOKS,
    "zerogpu": "of Hugging Face's hardware",
    "documentation": "for a page that /info took the place of",
    "component_prop_inputs": PAGE_ONLY,
    "js_implementation": PAGE_ONLY,
    "component_class_id": "a hash of Gradio's own source",
    "code_snippets": "a text for people",
}
RECORDED = versions()
# What depends on the ids that components got, on texts of people, or on Gradio's own components.
IDS = {"inputs", "outputs", "targets", "id", "api_description"}


def documents(app: App) -> Documents:
    return Documents(app, app_id=2**63)


def wanted(keys: Iterable[str]) -> list[str]:
    return [key for key in keys if key not in LEFT_OUT]


@pytest.mark.parametrize("version", RECORDED)
def test_the_config_has_the_keys_of_a_real_one(version: str) -> None:
    real = load(version, "config").config
    ours = documents(recorded_app(version)).config("http://127.0.0.1")
    assert list(ours) == wanted(real)
    for key in ("mode", "dev_mode", "title", "enable_queue", "show_error", "protocol"):
        assert ours.get(key) == real.get(key)
    for key in set(ours) - {"components", "dependencies", "layout", "page", "stylesheets", "root"}:
        if key not in ("version", "app_id"):
            assert ours[key] == real[key], key


@pytest.mark.parametrize("version", RECORDED)
def test_dependencies_are_those_of_the_real_app(version: str) -> None:
    real = load(version, "config").config["dependencies"]
    ours = documents(recorded_app(version)).config("http://127.0.0.1")["dependencies"]
    for mine, theirs in zip(ours, real, strict=True):
        assert list(mine) == wanted(theirs)
        if theirs["api_name"] in ("stop", "batched", None, False, "cancel"):
            continue  # the name of what cancels changed with every release; there are no batches
        for key in mine.keys() - IDS:
            assert mine[key] == theirs[key], (theirs["api_name"], key)
        assert len(mine["inputs"]) == len(theirs["inputs"])
        assert len(mine["outputs"]) == len(theirs["outputs"])


def test_a_streaming_input_is_a_dependency_like_the_real_one() -> None:
    real = load("6.31.0", "app2/stream_input").config["dependencies"][4]
    ours = documents(recorded_second_app("6.31.0")).config("")["dependencies"][4]
    assert list(ours) == wanted(real)
    different = {key for key in ours if ours[key] != real[key]}
    assert different <= IDS | {"show_progress", "stream_every"}
    assert ours["targets"] == [[ours["inputs"][0], "stream"]]


@pytest.mark.parametrize("version", RECORDED)
def test_components_have_the_keys_of_real_ones(version: str) -> None:
    real = load(version, "config").config["components"]
    ours = documents(recorded_app(version)).config("")["components"]
    for kind in ("number", "textbox", "json", "state", "button"):
        theirs = next((component for component in real if component["type"] == kind), None)
        mine = next((component for component in ours if component["type"] == kind), None)
        if mine is None or theirs is None:
            assert kind == "state"  # it was called a variable
            assert version in ("3.1.4", "3.1.7")
            continue
        assert list(mine) == wanted(theirs), kind
        assert mine.get("skip_api") == theirs.get("skip_api")
        if kind in ("number", "textbox") and "api_info" in mine:
            assert mine["api_info"] == theirs["api_info"]


@pytest.mark.parametrize("version", [version for version in RECORDED if version >= "3.5"])
def test_the_info_has_the_keys_of_a_real_one(version: str) -> None:
    info = load(version, "config").info
    if info is None:
        assert version < "3.26"
        return
    ours = documents(recorded_app(version)).info()
    assert list(ours) == list(info)
    for name in ("/add", "/count", "/chat", "/counter", "/multi"):
        mine, theirs = ours["named_endpoints"][name], info["named_endpoints"][name]
        assert list(mine) == wanted(theirs)
        for part in ("parameters", "returns"):
            assert len(mine[part]) == len(theirs[part])  # State is in none of them
            for item, real in zip(mine[part], theirs[part], strict=True):
                assert list(item) == list(real)
                assert item["component"] == real["component"]
                assert item["type"] == real["type"]
                if version >= "6" or item["component"] != "Json":  # named otherwise before
                    assert version < "4" or item["python_type"] == real["python_type"]
                    assert version < "4" or item.get("example_input") == real.get("example_input")


def test_every_key_that_is_left_out_is_one_that_real_servers_have() -> None:
    seen: set[str] = set()
    for version in versions():
        recording = load(version, "config")
        endpoints: Any = (recording.info or {}).get("named_endpoints", {}).values()
        for thing in (
            recording.config,
            *recording.config["dependencies"],
            *recording.config["components"],
            *endpoints,
        ):
            seen |= set(thing)
    assert set(LEFT_OUT) <= seen


def test_ids_lead_from_dependencies_to_components() -> None:
    app = App()

    @app.endpoint()
    def step(
        x: str = "a",
        st: Annotated[list[int], State] = [],  # noqa: B006  # a State's first value
    ) -> tuple[str, Annotated[list[int], State]]:
        raise NotImplementedError

    config = documents(app).config("http://host")
    kinds = {component["id"]: component["type"] for component in config["components"]}
    dependency = config["dependencies"][0]
    assert [kinds[number] for number in dependency["inputs"]] == ["textbox", "state"]
    assert [kinds[number] for number in dependency["outputs"]] == ["textbox", "state"]
    assert dependency["inputs"][1] == dependency["outputs"][1]
    assert kinds[dependency["targets"][0][0]] == "button"
    assert config["layout"]["children"] == [{"id": number} for number in kinds]
    assert config["page"][""]["components"] == list(kinds)
    assert config["root"] == "http://host"
    first = config["components"][dependency["inputs"][0] - 1]
    assert first["props"] == {"label": "x", "value": "a", "name": "textbox"}
    parameters = documents(app).info()["named_endpoints"]["/step"]["parameters"]
    assert [(p["parameter_name"], p["parameter_default"]) for p in parameters] == [("x", "a")]


def test_a_protocol_is_announced_unless_it_is_what_silence_means() -> None:
    assert documents(App(protocol="sse_v3", version="3.50.2")).config("")["protocol"] == "sse_v3"
    assert "protocol" not in documents(App(protocol="ws", version="6.31.0")).config("")
    assert "protocol" not in documents(App(version="3.50.2")).config("")


def test_a_function_that_only_cancels_is_no_endpoint() -> None:
    app = App()
    app.add("slow", returns=[Slot(name="x")])
    app.add("stop", cancels=["slow"])
    assert list(documents(app).info()["named_endpoints"]) == ["/slow"]
    assert documents(app).config("")["dependencies"][1]["backend_fn"] is False
