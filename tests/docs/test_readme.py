"""Every Python block of the README and of the pages beside it runs, and prints what it says."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import Phase, settings

from tests.support.loopback import Loopback
from tests.support.readme import Block, python_blocks
from tests.support.replay import ReplayServer
from tests.support.transcripts import load

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.fixture(autouse=True)
def quick_properties() -> Iterator[None]:
    """Property tests on the pages: the same few cases each time, which are not made smaller."""
    kept = settings.get_current_profile_name()
    phases = (Phase.explicit, Phase.generate)
    settings.register_profile("pages", derandomize=True, max_examples=40, phases=phases)
    settings.load_profile("pages")
    yield
    settings.load_profile(kept)


def run(block: Block, page: Path) -> None:
    with contextlib.ExitStack() as stack:
        url = ""
        if block.server is not None:
            replay = ReplayServer(load(*block.server))
            url = stack.enter_context(Loopback(replay)).url
        code = compile(block.code(url), str(page), "exec")
        exec(code, {"__name__": "__main__"})


@pytest.mark.parametrize(
    ("page", "block"),
    [
        pytest.param(page, block, id=f"{page.name} line {block.line}")
        for page in PAGES
        for block in python_blocks(page.read_text("utf-8"))
    ],
)
def test_the_block_does_what_it_says(
    page: Path, block: Block, capsys: pytest.CaptureFixture[str]
) -> None:
    run(block, page)
    printed = capsys.readouterr().out.splitlines()
    assert printed == block.promised


MARKDOWN = """\
# Title

```sh
python3 dev.py test
```

```python
print(1 + 1)  # prints: 2
```

<!-- server: 6.31.0 add -->
```python
import urllib.request

with urllib.request.urlopen("http://127.0.0.1:7860/config") as answer:
    print(answer.status)
# prints: 200
# prints: and more
```
"""


def test_only_python_is_run_each_block_with_its_server() -> None:
    first, second = python_blocks(MARKDOWN)
    assert (first.line, first.server, first.promised) == (8, None, ["2"])
    assert (second.line, second.server) == (13, ("6.31.0", "add"))
    assert second.promised == ["200", "and more"]


def test_a_block_talks_to_its_server(capsys: pytest.CaptureFixture[str]) -> None:
    run(python_blocks(MARKDOWN)[1], Path("x.md"))
    assert capsys.readouterr().out == "200\n"


def test_a_block_that_fails_names_the_line_of_the_file() -> None:
    (block,) = python_blocks("# Title\n\n```python\nx = 1\nx / 0\n```\n")
    with pytest.raises(ZeroDivisionError) as caught:
        run(block, Path("x.md"))
    assert caught.traceback[-1].lineno == 5 - 1  # pytest counts from 0
