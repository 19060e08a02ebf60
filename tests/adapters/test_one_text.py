"""The blocking client's text is made from the text with ``await``, and is what is made now."""

from __future__ import annotations

import inspect
import pydoc
from pathlib import Path
from typing import Any

import attrs
import make_blocking
import pytest

import sansio_gradio_adapters.asyncio
import sansio_gradio_adapters.sockets
import sansio_gradio_adapters.trio
from sansio_gradio_adapters._options import ClientOptions, made_from

WORLDS = [
    sansio_gradio_adapters.sockets,
    sansio_gradio_adapters.asyncio,
    sansio_gradio_adapters.trio,
]


def test_what_is_checked_in_is_what_is_made() -> None:
    for path, text in make_blocking.made().items():
        assert path.read_text("utf-8") == text, f"run `python3 dev.py blocking`: {path.name}"


def test_a_change_of_either_half_is_noticed(tmp_path: Path, monkeypatch: Any) -> None:
    for half in ("_awaited", "_blocking"):
        (tmp_path / half).mkdir()
        source = make_blocking.FOLDER / half / "reading.py"
        (tmp_path / half / "reading.py").write_text(source.read_text("utf-8"), "utf-8")
    monkeypatch.setattr(make_blocking, "FOLDER", tmp_path)
    monkeypatch.setattr(make_blocking, "TEXTS", ("reading",))
    assert make_blocking.main(["--check"]) == 0
    for half in ("_awaited", "_blocking"):
        changed = tmp_path / half / "reading.py"
        changed.write_text(changed.read_text("utf-8") + "\n\nx = 1\n", "utf-8")
        assert make_blocking.main(["--check"]) == 1
        assert make_blocking.main([]) == 0
        assert make_blocking.main(["--check"]) == 0


TEXT = '''
async def f(machine: Machine, items: Items) -> int:
    """Leaving early, by the end of an ``async with``, ends it. This is wrapped anew, because of a
    cancellation, or Ctrl-C.

    This stays
    as it is.
    """
    # Before and not after.
    await machine.checkpoint()
    async with items as left, machine.x:  # a cancellation, or Ctrl-C
        return await anext(left) + len([x async for x in left if "await"])
'''
MADE = '''
def f(worker: Worker, items: Items) -> int:
    """Leaving early, by the end of a ``with``, ends it. This is wrapped anew, because of Ctrl-C.

    This stays
    as it is.
    """
    with items as left, worker.x:  # Ctrl-C
        return next(left) + len([x for x in left if "await"])
'''


def test_how_it_is_made() -> None:
    assert make_blocking.blocking(TEXT) == MADE


@pytest.mark.parametrize("table", ["NAMES", "PROSE"])
def test_the_tables_have_no_more_than_the_text_needs(table: str) -> None:
    texts = [
        (make_blocking.FOLDER / "_awaited" / f"{name}.py").read_text("utf-8")
        for name in make_blocking.TEXTS
    ]
    said = " ".join(" ".join(texts).split())
    assert [word for word in getattr(make_blocking, table) if word not in said] == []


# The options


@pytest.mark.parametrize("world", WORLDS)
def test_a_client_has_the_full_signature_of_its_options(world: Any) -> None:
    signature = inspect.signature(world.Client)
    fields = attrs.fields_dict(ClientOptions)
    assert list(signature.parameters) == list(fields)
    for name, parameter in signature.parameters.items():
        is_first = name == "src"
        assert parameter.kind is (
            parameter.POSITIONAL_OR_KEYWORD if is_first else parameter.KEYWORD_ONLY
        )
        assert parameter.default == (parameter.empty if is_first else fields[name].default)
        assert parameter.annotation


@pytest.mark.parametrize("world", WORLDS)
def test_each_option_is_described(world: Any) -> None:
    described = inspect.getdoc(world.Client.__init__) or ""
    options = described[described.index("Args:") :]
    for name in attrs.fields_dict(ClientOptions):
        assert any(name in line.split(":")[0] for line in options.splitlines()), name


@pytest.mark.parametrize("world", WORLDS)
def test_help_shows_the_options_and_what_they_mean(world: Any) -> None:
    shown = pydoc.plain(pydoc.render_doc(world.Client))
    assert "trust_env: 'bool' = True" in shown
    assert "download_files: a folder" in shown


def test_a_wrong_option_is_refused_where_the_client_is_made() -> None:
    with pytest.raises(TypeError, match="tokn"):
        sansio_gradio_adapters.asyncio.Client("http://127.0.0.1:1", tokn="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def test_a_constructor_is_given_the_one_value() -> None:
    def double(number: int, *, times: int = 2) -> int:
        return number * times

    class Made:
        @made_from(double)
        def __init__(self, value: int) -> None:
            """What it is for."""
            self.value = value

    assert (Made(2).value, Made(2, times=3).value) == (4, 6)
    assert Made.__init__.__doc__ == "What it is for."
    assert str(inspect.signature(Made)) == "(number: 'int', *, times: 'int' = 2)"
