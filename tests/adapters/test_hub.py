"""What the environment says of the Hub: clients read it when they are made, nothing else does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sansio_gradio.errors import LocalProtocolError
from sansio_gradio_adapters import hub_address, saved_token
from sansio_gradio_adapters._tokens import Token

NAMES = (
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "HF_TOKEN_PATH",
    "HF_HOME",
    "XDG_CACHE_HOME",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN",
    "HF_ENDPOINT",
)


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home of its own, and an environment without any of the variables."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    return tmp_path


def write(path: Path, token: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(token)


def test_without_anything_there_is_none() -> None:
    assert saved_token() is None
    assert hub_address() == "https://huggingface.co/"


def test_each_place_wins_over_those_after_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(home / ".cache" / "huggingface" / "token", "of-home\n")
    assert saved_token() == "of-home"
    write(home / "xdg" / "huggingface" / "token", "of-xdg")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "xdg"))
    assert saved_token() == "of-xdg"
    write(home / "hf" / "token", "of-hf-home")
    monkeypatch.setenv("HF_HOME", "${HOME}/hf")
    assert saved_token() == "of-hf-home"
    monkeypatch.setenv("HF_HOME", "~/hf")
    assert saved_token() == "of-hf-home"
    write(home / "file", " of-path\r\n")
    monkeypatch.setenv("HF_TOKEN_PATH", str(home / "file"))
    assert saved_token() == "of-path"
    monkeypatch.setenv("HUGGING_FACE_HUB_TOKEN", "of-old")
    assert saved_token() == "of-old"
    monkeypatch.setenv("HF_TOKEN", "of-new")
    assert saved_token() == "of-new"
    monkeypatch.setenv("HF_TOKEN", " ")
    assert saved_token() == "of-old"


@pytest.mark.parametrize("value", ["1", "on", "Yes", "TRUE"])
def test_it_may_be_forbidden(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", value)
    assert saved_token() is None
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "0")
    assert saved_token() == "secret"


def test_a_file_that_cannot_be_read_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for broken in ("folder", "latin"):
        monkeypatch.setenv("HF_TOKEN_PATH", str(home / broken))
        if broken == "folder":
            (home / broken).mkdir()
        else:
            (home / broken).write_bytes(b"\xff\xfe")
        with pytest.raises(LocalProtocolError, match=f"{broken}.*token=False"):
            saved_token()
    (home / "file").write_text("two words")
    monkeypatch.setenv("HF_TOKEN_PATH", str(home / "file"))
    with pytest.raises(LocalProtocolError, match="no token has"):
        saved_token()


def test_the_hub_may_be_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:5000/hub/")
    assert hub_address() == "http://127.0.0.1:5000/hub/"
    monkeypatch.setenv("HF_ENDPOINT", "127.0.0.1")
    with pytest.raises(LocalProtocolError, match="HF_ENDPOINT"):
        hub_address()


def test_nothing_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    before = dict(os.environ)
    saved_token()
    hub_address()
    assert dict(os.environ) == before


def test_a_token_that_a_function_tells() -> None:
    told = ["a", "a", "b", None]
    token = Token(lambda: told.pop(0), "token")
    assert token.now == "a"
    assert not token.ask()
    assert [(token.ask(), token.now) for _ in range(2)] == [(True, "b"), (True, None)]
    with pytest.raises(IndexError):  # what the function raises is the caller's
        token.ask()
    token.set("c")
    assert (token.now, token.function) == ("c", None)


def test_an_async_function_is_refused_before_it_is_called() -> None:
    async def ask() -> str:
        raise AssertionError("called")

    with pytest.raises(LocalProtocolError, match=r"not be async.*set_oauth_token"):
        Token(ask, "oauth_token")  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [True, 7, b"bytes", ["a"]])
def test_what_is_no_token(given: object) -> None:
    with pytest.raises(LocalProtocolError, match="token is a text, a function"):
        Token(given, "token")  # type: ignore[arg-type]
    with pytest.raises(LocalProtocolError, match="token is a text"):
        Token(lambda: 7, "token")  # type: ignore[arg-type, return-value]
