"""``python3 dev.py blocking``: make the text of the blocking client from that for tasks.

Each module of ``TEXTS`` in ``sansio_gradio_adapters/_awaited`` is written once, with ``await``.
Here its ``async`` and ``await`` go, names change by ``NAMES``, and phrases of docstrings and
comments by ``PROSE``. A line that only awaits a checkpoint goes, too: threads have none. With
``--check`` nothing is written; the exit status says whether all is as it would be written.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import textwrap
import tokenize
from collections.abc import Sequence
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "sansio_gradio_adapters"
MARK: Final = "# Made from _awaited/{}.py by `python3 dev.py blocking`: change that.\n\n"
_STYLE: Final = Path(__file__).parent.parent / "pyproject.toml"
_WIDTH: Final = 100
TEXTS: Final = ("reading", "jobs", "files", "client")

NAMES: Final = {
    "StopAsyncIteration": "StopIteration",
    "anext": "next",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "_awaited": "_blocking",
    "of_tasks": "of_threads",
    "JobOfTasks": "JobOfThreads",
    "Machine": "Worker",
    "machine": "worker",
    "_machine": "_worker",
    "_open_machine": "_open_worker",
}

# A phrase may be broken by a line's end. Those that stand last apply to what the others leave.
PROSE: Final = {
    "What clients with ``await`` hand out is": "What the blocking client hands out is",
    "The objects that clients with ``await`` hand out:": (
        "The objects that the blocking client hands out:"
    ),
    "All of them belong to the event loop of their client.": (
        "All of them block without polling. Any thread may use them, but the client's own."
    ),
    "The files that clients with ``await`` hand out. Writing to a disk happens in threads.": (
        "The files that the blocking client hands out."
    ),
    "The verbs of a client with ``await``.": "The verbs of the blocking client.",
    "A call under way. ``await`` it for its result.": (
        "A call under way: a ``concurrent.futures.Future``, pending until its end."
    ),
    "A task that is cancelled while it waits for the result gives the job up; a task that only"
    " iterates does not.": ("In asyncio it can be iterated with ``async for``, too."),
    "Cancelling the task gives the job up, too.": "Ctrl-C gives the job up, too.",
    "an exception, a cancellation, or": "an exception, Ctrl-C, or",
    "a cancellation and Ctrl-C, too": "Ctrl-C, too",
    "a cancellation, or Ctrl-C": "Ctrl-C",
    "a cancellation, Ctrl-C": "Ctrl-C",
    "several tasks": "several threads",
    "an async iterator": "an iterator",
    "an async context manager": "a context manager",
    "an ``async with``": "a ``with``",
    "use `async with`": "use `with`",
    "with ``async for``": "with ``for``",
    "use ``async for``": "use ``for``",
    "``async for`` gives": "``for`` gives",
}


def blocking(text: str) -> str:
    """The blocking text for a text with ``await``, not formatted yet."""
    text = re.sub(r"(\n *#.*)?\n *await .*\.checkpoint\(\)\n", "\n", text)
    lines = text.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    found: list[str] = []
    end = 0
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        start = starts[token.start[0] - 1] + token.start[1]
        if start < end or not token.string:
            continue
        found.append(text[end:start])
        end = starts[token.end[0] - 1] + token.end[1]
        if token.type == tokenize.NAME and token.string in {"async", "await"}:
            end += 1  # and the space behind it
        elif token.type == tokenize.NAME:
            found.append(NAMES.get(token.string, token.string))
        elif token.type in {tokenize.STRING, tokenize.COMMENT}:
            found.append(_said(token.string, token.start[1]))
        else:
            found.append(token.string)
    return "".join([*found, text[end:]])


_PARAGRAPH: Final = re.compile(r"(\s*)(.*?)(\s*\n\s*\"\"\")?", re.DOTALL)
_PHRASES: Final = re.compile(
    "|".join(r"\s+".join(map(re.escape, phrase.split())) for phrase in PROSE)
)


def _said(words: str, column: int) -> str:
    """A docstring or a comment, with the phrases of threads; what has changed is wrapped anew."""
    paragraphs = words.split("\n\n")
    for place, paragraph in enumerate(paragraphs):
        changed = _PHRASES.sub(lambda found: PROSE[" ".join(found[0].split())], paragraph)
        if changed != paragraph:
            # The pattern matches any text.
            left, body, right = _PARAGRAPH.fullmatch(changed).groups()  # type: ignore[union-attr]
            indent = " " * column
            wrapped = textwrap.fill(
                " ".join(body.split()),
                width=_WIDTH,
                initial_indent=indent,
                subsequent_indent=indent,
                break_long_words=False,
                break_on_hyphens=False,
            )
            paragraphs[place] = left + wrapped.lstrip() + (right or "")
    return "\n\n".join(paragraphs)


def formatted(text: str, path: Path) -> str:
    """As ruff has it: imports sorted, and none too many."""
    for command in (["check", "--quiet", "--select", "I,F401", "--fix"], ["format"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--config", str(_STYLE)]
        ruff += ["--stdin-filename", str(path), "-"]
        done = subprocess.run(ruff, input=text, capture_output=True, text=True, check=True)
        text = done.stdout
    return text


def made() -> dict[Path, str]:
    """The modules of ``_blocking`` that are made, by path."""
    found: dict[Path, str] = {}
    for name in TEXTS:
        path = FOLDER / "_blocking" / f"{name}.py"
        source = (FOLDER / "_awaited" / f"{name}.py").read_text("utf-8")
        found[path] = formatted(MARK.format(name) + blocking(source), path)
    return found


def main(args: Sequence[str]) -> int:
    stale = 0
    for path, text in made().items():
        if not path.exists() or path.read_text("utf-8") != text:
            stale += 1
            print(f"{path.relative_to(FOLDER)} was not as it is made now")
            if "--check" not in args:
                path.write_text(text, "utf-8")
    return 1 if stale and "--check" in args else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
