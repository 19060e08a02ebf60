"""How Spaces are named, and what the Hub's answers mean."""

from __future__ import annotations

import pytest

from sansio_gradio.errors import AuthenticationError, LocalProtocolError, SpaceError
from sansio_gradio.protocol.spaces import (
    HUB,
    STAGES,
    Do,
    host_in,
    hub_base,
    hub_refusal,
    space_name,
    stage_error,
)

AT_HOME = hub_base(HUB)
LOCAL = hub_base("http://127.0.0.1:5000/mirror")


@pytest.mark.parametrize(
    ("src", "name"),
    [
        ("gradio/hello_world", "gradio/hello_world"),
        (" Owner-1/My.App-2_x \n", "Owner-1/My.App-2_x"),
        ("https://huggingface.co/spaces/gradio/hello_world", "gradio/hello_world"),
        ("https://huggingface.co/spaces/gradio/hello_world/", "gradio/hello_world"),
        ("https://huggingface.co/spaces/gradio/hello_world?logs=x#y", "gradio/hello_world"),
        ("https://www.huggingface.co/spaces/a/b", "a/b"),
        ("https://hf.co/spaces/a/b", "a/b"),
        ("https://gradio-hello-world.hf.space", None),
        ("https://x.hf.space/--replicas/a/", None),
        ("https://other.example/spaces/a/b", None),
        ("http://127.0.0.1:7860", None),
        ("http+unix://%2Frun%2Fapp.sock/spaces/a/b", None),
    ],
)
def test_what_is_a_space(src: str, name: str | None) -> None:
    assert space_name(src, AT_HOME) == name
    assert space_name(src, LOCAL) == name


def test_the_page_of_a_space_on_another_hub() -> None:
    assert space_name("http://127.0.0.1:5000/spaces/a/b", LOCAL) == "a/b"
    assert space_name("http://127.0.0.1:5001/spaces/a/b", LOCAL) is None
    assert space_name("https://huggingface.co/datasets/a/b", AT_HOME) is None


@pytest.mark.parametrize(
    "src",
    ["", "a", "a/", "/b", "a/b/c", "a/ä", "a b/c", "../b", "a/..", "./b", "a//b", "a/b?c", "a\n/b"],
)
def test_what_is_neither_a_space_nor_a_url(src: str) -> None:
    with pytest.raises(LocalProtocolError, match=r"neither a URL .* nor a Space") as caught:
        space_name(src, AT_HOME)
    assert caught.value.phase == "connect"


@pytest.mark.parametrize("src", ["me:s-pw@app.example/x", "app.example?token=s-t", "a/b#s-x@y"])
def test_an_address_without_a_scheme_is_not_shown_with_its_secrets(src: str) -> None:
    with pytest.raises(LocalProtocolError, match="neither") as caught:
        space_name(src, AT_HOME)
    assert "s-" not in str(caught.value)


def test_a_hub_at_a_unix_socket_is_refused() -> None:
    # Without its socket it would be localhost, which would get the token.
    with pytest.raises(LocalProtocolError, match="Unix socket"):
        hub_base("http+unix://%2Frun%2Fhub.sock/")


@pytest.mark.parametrize("path", ["", "/", "/a", "/a/", "/a/b/tree/main", "/a/..%2Fx", "/../x"])
def test_what_is_a_page_of_spaces_but_not_of_one(path: str) -> None:
    with pytest.raises(LocalProtocolError, match="spaces/owner/name"):
        space_name(f"https://huggingface.co/spaces{path}", AT_HOME)


@pytest.mark.parametrize(
    ("hub", "host", "page"),
    [
        (AT_HOME, "https://Gradio-hello.hf.space", "https://gradio-hello.hf.space/"),
        (AT_HOME, "https://demo.example/app", "https://demo.example/app/"),
        (LOCAL, "http://127.0.0.1:7860", "http://127.0.0.1:7860/"),
    ],
)
def test_the_hub_names_the_address(hub: object, host: str, page: str) -> None:
    assert str(host_in({"subdomain": "x", "host": host}, "a/b", hub)) == page  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "answer",
    [None, [], {}, {"host": None}, {"host": 7}, {"host": ""}, {"host": "gradio-hello.hf.space"},
     {"host": "file:///etc/passwd"}, {"host": "https://user:pw@x.example"},
     {"host": "http+unix://%2Frun%2Fdocker.sock/"}, {"host": "http://x.hf.space"}, {"host": "wss://x.hf.space"}],
)  # fmt: skip
def test_what_is_no_address_is_the_hub_s_mistake(answer: object) -> None:
    with pytest.raises(ConnectionError, match="a/b"):
        host_in(answer, "a/b", AT_HOME)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "code", "has_token", "kind", "words"),
    [
        (401, "RepoNotFound", False, AuthenticationError, "no Space a/b .* private: pass token="),
        (401, "", False, AuthenticationError, "pass token="),
        (404, "RepoNotFound", False, AuthenticationError, "pass token="),
        (404, "RepoNotFound", True, SpaceError, "no Space a/b .* the token of token= may not"),
        (401, "RepoNotFound", True, SpaceError, "no Space a/b"),
        (401, "", True, AuthenticationError, "does not know the token"),
        (403, "GatedRepo", True, AuthenticationError, "ask for access"),
        (403, "", False, AuthenticationError, "ask for access"),
    ],
)
def test_what_the_hub_refuses(
    status: int, code: str, has_token: bool, kind: type[Exception], words: str
) -> None:
    headers = (("x-error-code", code),) if code else ()
    error = hub_refusal(status, headers, "a/b", has_token=has_token)
    assert type(error) is kind
    assert error is not None
    with pytest.raises(kind, match=words):
        raise error


@pytest.mark.parametrize("status", [429, 500, 503, 200])
def test_what_is_no_refusal_of_this_space(status: int) -> None:
    assert hub_refusal(status, (), "a/b", has_token=True) is None


def test_a_final_stage_says_what_to_do() -> None:
    finals = {stage for stage, (what, _) in STAGES.items() if what is Do.GIVE_UP}
    assert finals == {
        "PAUSED", "NO_APP_FILE", "CONFIG_ERROR", "BUILD_ERROR", "RUNTIME_ERROR", "DELETING",
    }  # fmt: skip
    error = stage_error("a/b", "RUNTIME_ERROR", "exit 1\x1b[31m\nTraceback")
    assert error.stage == "RUNTIME_ERROR"
    assert "its owner has to correct it" in error.message
    assert "exit 1?[31m Traceback" in error.message
    assert isinstance(error, ConnectionError)
