"""An app is known by its config, better by its info, and says which endpoint a call means."""

from __future__ import annotations

import contextlib
import copy
import json
import pickle
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz import app_info as fuzz_target
from sansio_gradio.errors import AuthenticationError, LocalProtocolError, RemoteProtocolError
from sansio_gradio.protocol.app_info import AppInfo, config_in_page
from tests.support import sample_apps, transcripts

NAMED = sample_apps.config(
    {"api_name": "add"},
    {"api_name": "subtract"},
    {"api_name": None},
    {"api_name": "add"},
    {"api_name": "hidden", "show_api": False},
    {"api_name": "secret", "api_visibility": "private"},
    {"api_name": "in_browser", "backend_fn": False},
)


def test_a_config_is_read_whole() -> None:
    config = sample_apps.config(
        {"api_name": "a"},
        protocol="sse_v3",
        api_prefix="/gradio_api",
        enable_queue=True,
        connect_heartbeat=False,
    )
    app = AppInfo.from_config(config)
    assert (app.version, app.version_text) == ((6, 31, 0), "6.31.0")
    assert (app.protocol_name, app.api_prefix) == ("sse_v3", "/gradio_api")
    assert app.connect_heartbeat is False
    assert list(app.components) == [1, 2, 3]
    assert list(app.endpoints) == [0]
    assert app.config is config
    assert app.info is None
    assert not app.has_info


def test_old_servers_say_less() -> None:
    app = AppInfo.from_config({"components": [], "dependencies": []})
    assert (app.version, app.version_text, app.protocol_name) == ((), None, None)
    assert (app.api_prefix, app.connect_heartbeat) == ("", None)


def test_the_version_of_3_x_ends_in_a_newline() -> None:
    app = AppInfo.from_config(sample_apps.config(version="3.16.2\n"))
    assert (app.version, app.version_text) == ((3, 16, 2), "3.16.2")


@pytest.mark.parametrize(
    ("config", "why"),
    [
        (None, "a JSON object; this is none"),
        ([], "a JSON object; this is none"),
        ("<html>", "a JSON object; this is none"),
        ({}, "no components and dependencies"),
        ({"components": [], "dependencies": {}}, "no components and dependencies"),
        ({"components": None, "dependencies": []}, "no components and dependencies"),
        ({"components": [], "dependencies": [1]}, "Dependency 0 of the config"),
        ({"components": [1], "dependencies": []}, "A component in the config"),
        ({"allow_flagging": "never", "components": []}, "Gradio 2"),
    ],
)
def test_what_is_no_config_is_the_servers_fault(config: Any, why: str) -> None:
    with pytest.raises(RemoteProtocolError, match=why):
        AppInfo.from_config(config)


def test_an_app_behind_a_login_says_so() -> None:
    with pytest.raises(AuthenticationError, match="wants a login: members only"):
        AppInfo.from_config({"auth_required": True, "auth_message": "members only"})
    with pytest.raises(AuthenticationError, match=r"pass auth=\(user, password\)"):
        AppInfo.from_config({"auth_required": True, "components": [], "dependencies": []})


@pytest.mark.parametrize(
    "info",
    [None, [], {}, {"named_endpoints": {}}, {"named_endpoints": [], "unnamed_endpoints": {}}],
)
def test_what_is_no_info_is_the_servers_fault(info: Any) -> None:
    with pytest.raises(RemoteProtocolError, match="no Gradio API"):
        AppInfo.from_config(NAMED).with_info(info)


def test_info_adds_to_what_the_config_said_and_changes_no_app() -> None:
    bare = AppInfo.from_config(sample_apps.config({"api_name": "f", "inputs": [1]}))
    info = sample_apps.info(f=[sample_apps.default("x", 1)])
    app = bare.with_info(info)
    assert app.has_info
    assert app.info is info
    assert [p.name for p in app.endpoint("f").parameters] == ["x"]
    assert [p.name for p in bare.endpoint("f").parameters] == ["your_name"]
    assert not bare.has_info
    assert app.components == bare.components


def test_info_goes_to_the_last_of_a_name_and_by_number_to_those_without() -> None:
    app = AppInfo.from_config(
        sample_apps.config(
            {"api_name": "f", "inputs": [1]},
            {"api_name": "f", "inputs": [1]},
            {"id": 7, "inputs": [1]},
        )
    )
    info = sample_apps.info(f=[sample_apps.told("x")])
    info["unnamed_endpoints"]["7"] = {"parameters": [sample_apps.told("y")], "returns": []}
    names = [[p.name for p in e.parameters] for e in app.with_info(info).endpoints.values()]
    assert names == [["your_name"], ["x"], ["y"]]


# --- which endpoint is meant


@pytest.mark.parametrize(
    ("api_name", "fn_index", "found"),
    [
        ("/add", None, 0),
        ("add", None, 0),
        ("/subtract", None, 1),
        (None, 2, 2),
        (None, 0, 0),
        ("add", 0, 0),
        ("add", 3, 3),  # the second of that name
        ("hidden", None, 4),
    ],
)
def test_an_endpoint_is_found(api_name: str | None, fn_index: int | None, found: int) -> None:
    assert AppInfo.from_config(NAMED).endpoint(api_name, fn_index).fn_index == found


@pytest.mark.parametrize(
    ("api_name", "fn_index", "why"),
    [
        (
            "ad",
            None,
            "There is no endpoint with api_name='/ad' (did you mean '/add'?). "
            "The app has: /add, /subtract, fn_index=2, /add",
        ),
        (None, 99, "There is no endpoint with fn_index=99. The app has: /add,"),
        ("add", 1, "There is no endpoint with api_name='/add' and fn_index=1"),
        (
            "secret",
            None,
            "The endpoint with api_name='/secret' is private: the app",
        ),
        (
            None,
            5,
            "The endpoint with fn_index=5 is private: the app lets no client",
        ),
        ("in_browser", None, "There is no endpoint with api_name='/in_browser'"),
        (
            None,
            None,
            "Say which endpoint by api_name or fn_index. The app has: /add, /subtract, /add",
        ),
    ],
)
def test_an_endpoint_that_is_not_there_is_the_callers_mistake(
    api_name: str | None, fn_index: int | None, why: str
) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        AppInfo.from_config(NAMED).endpoint(api_name, fn_index)
    assert str(caught.value).startswith(why)


@pytest.mark.parametrize(
    ("dependencies", "found"),
    [
        ([{"api_name": "a"}], 0),
        ([{"api_name": None}], 0),
        ([{"api_name": None}, {"api_name": "a"}, {"api_name": None}], 1),
        ([{"api_name": "b", "show_api": False}, {"api_name": "a"}], 1),
        ([{"api_name": "b", "backend_fn": False}, {"api_name": "a"}], 1),
    ],
)
def test_the_only_endpoint_need_not_be_named(dependencies: Any, found: int) -> None:
    assert AppInfo.from_config(sample_apps.config(*dependencies)).endpoint().fn_index == found


@pytest.mark.parametrize(
    ("dependencies", "has"),
    [
        ([], "none"),
        ([{"api_name": None}, {"api_name": None}], "fn_index=0, fn_index=1"),
        ([{"api_name": "a", "show_api": False}], "none"),
    ],
)
def test_without_a_name_there_must_be_just_one(dependencies: Any, has: str) -> None:
    with pytest.raises(LocalProtocolError, match=f"^Say which .* The app has: {has}$"):
        AppInfo.from_config(sample_apps.config(*dependencies)).endpoint()


def test_a_long_list_of_endpoints_is_cut_short() -> None:
    app = AppInfo.from_config(
        sample_apps.config(*[{"api_name": f"f{i}" + "x" * 999} for i in range(500)])
    )
    with pytest.raises(LocalProtocolError) as caught:
        app.endpoint("nothing")
    assert len(str(caught.value)) < 2000
    assert str(caught.value).endswith("..., ...")


# --- as text, and as a dict


def test_an_endpoint_is_described_by_its_call_and_its_own_words() -> None:
    config = sample_apps.config(
        {
            "api_name": "count",
            "inputs": [2, 3, 1],
            "outputs": [1],
            "api_description": "Counts\nup.",
        },
        {"api_name": None},
    )
    info = sample_apps.info(count=[sample_apps.default("n", 5), sample_apps.told("text")])
    assert AppInfo.from_config(config).with_info(info).describe() == (
        "Gradio 6.31.0\n"
        "\n"
        'predict(n: str = 5, text: str, api_name="/count") -> Any\n'
        "    Counts\n"
        "    up.\n"
        "\n"
        "predict(fn_index=1) -> ()"
    )
    nothing = AppInfo.from_config(sample_apps.config(version=None))
    assert nothing.describe() == "Gradio of unknown version"


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
    told: Any = transcripts.load("6.31.0", "add").info
    named = sample_apps.recorded("6.31.0").as_dict()["named_endpoints"]
    assert list(named) == list(told["named_endpoints"])
    for name, entry in named.items():
        assert entry == {key: told["named_endpoints"][name][key] for key in entry}
        assert set(told["named_endpoints"][name]) == set(entry)


@pytest.mark.parametrize("version", transcripts.VERSIONS)
def test_as_a_dict_every_server_says_what_it_can(version: str) -> None:
    entry = sample_apps.recorded(version).as_dict()["named_endpoints"]["/add"]
    for part in entry["parameters"]:
        assert {"label", "component", "parameter_name"} <= set(part)
    assert ["label" in part for part in entry["returns"]] == [True]


def test_functions_without_a_name_go_by_their_number() -> None:
    app = AppInfo.from_config(
        sample_apps.config({"id": 4}, {"id": 9, "api_name": "a"}, {"api_name": "a"})
    )
    shown = app.as_dict()
    assert list(shown["unnamed_endpoints"]) == ["4"]
    assert list(shown["named_endpoints"]) == ["/a"]


# --- real servers


@pytest.mark.parametrize("version", transcripts.VERSIONS)
def test_recorded_apps_are_understood(version: str) -> None:
    app = sample_apps.recorded(version)
    assert app.version_text == version
    add = app.endpoint("add")
    assert add.bind((1, 2), {}) == [1, 2]
    assert len(add.parameters) == len(add.inputs) == 2
    counter = app.endpoint("/counter")
    assert counter.bind(("x",), {}) == ["x", None]
    assert counter.result_of(["y", {"n": 1}]) == "y"
    assert app.endpoint("count").is_generator is (None if app.version < (3, 50) else True)
    assert app.endpoint("add_unqueued").queue is False
    assert add.queue is True
    assert app.components[8].is_state
    for endpoint in app.endpoints.values():
        assert len(endpoint.signature.parameters) == len(endpoint.parameters)


def test_defaults_and_names_come_from_servers_since_4_23() -> None:
    for version in ("4.29.0", "4.44.1", "6.31.0"):
        add = sample_apps.recorded(version).endpoint("add")
        assert add.bind((), {"b": 5}) == [1, 5]
        assert str(add.signature) == "(a: 'float' = 1, b: 'float' = 2) -> 'float'"
    for version in ("3.16.2", "3.50.2", "4.21.0"):
        add = sample_apps.recorded(version).endpoint("add")
        assert add.bind((), {"parameter_1": 3, "parameter_2": 4}) == [3, 4]
        with pytest.raises(LocalProtocolError, match="'parameter_2' must be given"):
            add.bind((), {})


def test_an_app_can_be_stored_and_compared() -> None:
    app = sample_apps.recorded("6.31.0")
    assert pickle.loads(pickle.dumps(app)) == app == copy.deepcopy(app)
    assert app != sample_apps.recorded("4.44.1")


# --- hostile ones

junk = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 9) | st.floats(0, 1) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
documents = st.sampled_from(
    [
        [dict(recording.config), recording.info and dict(recording.info)]
        for recording in (transcripts.load(v, "add") for v in ("3.16.2", "3.50.2", "6.31.0"))
    ]
)


@given(st.binary())
def test_the_fuzz_target_holds(data: bytes) -> None:
    fuzz_target.target(data)


@settings(max_examples=settings().max_examples // 3)
@given(junk)
def test_the_fuzz_target_holds_for_any_json(value: Any) -> None:
    fuzz_target.target(json.dumps(value).encode())


@given(documents, st.data())
def test_the_fuzz_target_holds_for_changed_documents(document: Any, data: st.DataObject) -> None:
    changed: Any = copy.deepcopy(document)
    for _ in range(data.draw(st.integers(1, 4))):
        place: Any = changed
        for _ in range(data.draw(st.integers(0, 6))):
            steps = list(place if isinstance(place, dict) else range(len(place)))
            step = data.draw(st.sampled_from(steps))
            if not isinstance(place[step], list | dict) or not place[step]:
                place[step] = data.draw(junk)
                break
            place = place[step]
        else:
            step = data.draw(
                st.sampled_from(list(place if isinstance(place, dict) else range(len(place))))
            )
            place[step] = data.draw(junk)
    fuzz_target.target(json.dumps(changed).encode())


# What is rendered, and what is in a page


BASE = AppInfo.from_config({"version": "6.31.0", "components": [], "dependencies": []})


def test_renders_add_to_an_app_and_change_none() -> None:
    part: Any = {"id": 5, "type": "textbox", "props": {}}
    function: Any = {"id": 9, "inputs": [5], "outputs": [5], "api_name": "box"}
    first = BASE.with_renders([BASE.read_render({"components": [part]}, {})])
    renders: list[Any] = [{"components": [part]}, {"dependencies": [function]}, {}, None]
    rendered = BASE.with_renders(first.read_render(render, {}) for render in renders)
    assert rendered.endpoint("/box").fn_index == 9
    assert rendered.endpoint("/box").inputs == (rendered.components[5],)
    assert BASE.endpoints == {}
    info: Any = {"named_endpoints": {}, "unnamed_endpoints": {}}
    assert BASE.with_info(info).with_renders([BASE.read_render(function, {})]).has_info


@given(st.lists(st.dictionaries(st.sampled_from(["components", "dependencies"]), junk)))
def test_any_render_is_read_or_is_the_servers_fault(renders: Any) -> None:
    with contextlib.suppress(RemoteProtocolError):
        parts = [BASE.read_render(render, {}) for render in renders]
        assert BASE.with_renders(parts).version == BASE.version


def test_of_one_number_the_newest_render_counts() -> None:
    def render(name: str) -> Any:
        return {"dependencies": [{"id": 3, "inputs": [], "outputs": [], "api_name": name}]}

    app = BASE.with_renders(BASE.read_render(render(name), {}) for name in ("old", "new"))
    assert [endpoint.api_name for endpoint in app.endpoints.values()] == ["/new"]
    app = app.with_renders([app.read_render(render("newer"), app.components)])
    assert app.endpoint("/newer").fn_index == 3


@pytest.mark.parametrize("queue", [True, False])
def test_a_rendered_function_of_which_little_is_said_is_as_the_app_s_others(queue: bool) -> None:
    config = sample_apps.config({"api_name": "a"}, {"api_name": "b"}, enable_queue=queue)
    rendered: Any = {"dependencies": [{"inputs": [], "outputs": []}]}
    _, endpoints = AppInfo.from_config(config).read_render(rendered, {})
    assert [(number, endpoint.queue) for number, endpoint in endpoints.items()] == [(2, queue)]


@pytest.mark.parametrize(
    ("page", "config"),
    [
        (b"<script>window.gradio_config = {1};</script>", b"{1}"),
        (b"window.gradio_config = {1}\n</script></script>", b"{1}"),
        (b"window.gradio_config = window.gradio_config = 1;</script>", b"window.gradio_config = 1"),
        (b"window.gradio_config = {1};", None),
        (b"window.gradio_config={1};</script>", None),
        (b"</script>window.gradio_config = ", None),
        (b"", None),
    ],
)
def test_the_config_in_a_page_is_what_its_script_sets(page: bytes, config: bytes | None) -> None:
    assert config_in_page(page) == config


@pytest.mark.parametrize("version", transcripts.versions())
def test_a_page_has_what_the_config_has(version: str) -> None:
    config = transcripts.load(version, "add").config
    script = json.dumps(config).replace("<", "\\u003c").encode()
    found = config_in_page(b"<script>window.gradio_config = %s;</script>" % script)
    assert found is not None
    assert AppInfo.from_config(json.loads(found)) == AppInfo.from_config(dict(config))


# Ids


SAME_HASH = [(number + 1) * sys.hash_info.modulus for number in range(2000)]


@pytest.mark.parametrize("key", ["components", "inputs", "outputs"])
def test_ids_that_are_too_large_to_be_any_are_refused(key: str) -> None:
    function: dict[str, Any] = {"inputs": [1], "outputs": [1]}
    config: Any = {"components": [], "dependencies": [function]}
    if key == "components":
        config[key] = [{"id": number, "type": "box", "props": {}} for number in SAME_HASH]
    else:
        function[key] = SAME_HASH
    with pytest.raises(RemoteProtocolError, match=r"of the config|in the config"):
        AppInfo.from_config(config)


def test_a_function_with_an_id_that_is_too_large_is_known_by_its_place() -> None:
    functions: list[Any] = [{"id": id, "inputs": [], "outputs": []} for id in SAME_HASH]
    app = AppInfo.from_config({"components": [], "dependencies": functions})
    assert list(app.endpoints) == list(range(len(functions)))


def test_ids_may_be_as_large_as_javascript_has_them() -> None:
    for id in (2**53 - 1, 1 - 2**53, 0):
        part: Any = {"id": id, "type": "box", "props": {}}
        function: Any = {"id": id, "inputs": [id], "outputs": []}
        app = AppInfo.from_config({"components": [part], "dependencies": [function]})
        assert app.endpoints[id].inputs == (app.components[id],)
