"""The command line: ``python -m sansio_gradio_adapters COMMAND``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from sansio_gradio_adapters.conform import command as conform

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns the status of the process."""
    parser = argparse.ArgumentParser(prog="sansio-gradio")
    conform.add_to(parser.add_subparsers(dest="verb", required=True))
    return conform.run(parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
