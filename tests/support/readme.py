"""The Python blocks of a Markdown file, so that what a README says can be run.

A block is run against a recorded server where the line before it says so:

    <!-- server: 6.31.0 add -->

The address http://127.0.0.1:7860 in such a block stands for that server. ``# prints: x`` promises
a line of output.
"""

from __future__ import annotations

import re

import attrs

ADDRESS = "http://127.0.0.1:7860"
BLOCK = re.compile(
    r"(?:^<!-- server: (?P<version>\S+) (?P<scenario>\S+) -->\n\n?)?"
    r"^```(?P<language>[\w-]*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@attrs.frozen
class Block:
    line: int  # of its first line of code
    text: str
    server: tuple[str, str] | None  # version and scenario of a recording

    def code(self, url: str) -> str:
        """What to run, with the line numbers of the file."""
        return "\n" * (self.line - 1) + self.text.replace(ADDRESS, url)

    @property
    def promised(self) -> list[str]:
        """What it says that it prints, line by line."""
        return re.findall(r"# prints: (.*)$", self.text, re.MULTILINE)


def python_blocks(markdown: str) -> list[Block]:
    return [
        Block(
            line=markdown.count("\n", 0, found.start("text")) + 1,
            text=found["text"],
            server=(found["version"], found["scenario"]) if found["version"] else None,
        )
        for found in BLOCK.finditer(markdown)
        if found["language"] == "python"
    ]
