"""Draw mutants of the core at random, and see whether the tests that cover their lines notice them.

The mutants are made by the operators of cosmic-ray (``pip install cosmic-ray``, for the interpreter
that runs this). First a map of which test covers which line, then the mutants:

    python -m coverage run --rcfile=RC -m pytest -q -n 0 tests/wire tests/protocol tests/client
    PYTHON_OF_COSMIC_RAY tests/mutation.py --tests PYTHON --map COV --seed 1 --count 1000

where RC has ``[run]``, ``source = sansio_gradio``, ``dynamic_context = test_function`` and
``data_file = COV``, and PYTHON is the interpreter of this project. It works on a copy. What
survives is printed, as a diff.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import importlib
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FLOORS = ("wire", "protocol", "client")
NOT_USED = ("VariableReplacer", "VariableInserter")  # they want names
STAGES = ((0, 12), (12, 60), (60, None))
"""Which tests are tried first, and which if those notice nothing."""
SECONDS = 120  # of one run; a mutant that takes longer runs in circles, and is noticed
NOT_COPIED = shutil.ignore_patterns(
    ".git", ".venv", ".cache", "__pycache__", ".servers", ".*_cache"
)

Site = tuple[str, tuple[int, int]]


def sites() -> dict[Site, list[tuple[str, int]]]:
    """By file and place, the operators that can change something there, each with a number."""
    plugins, trees = _cosmic_ray("plugins"), _cosmic_ray("ast")
    found: dict[Site, list[tuple[str, int]]] = defaultdict(list)
    for floor in FLOORS:
        for path in sorted((ROOT / "sansio_gradio" / floor).rglob("*.py")):
            nodes = list(trees.ast_nodes(trees.get_ast(path.read_text("utf-8"))))
            name = path.relative_to(ROOT).as_posix()
            for operator in plugins.operator_names():
                if operator.endswith(NOT_USED):
                    continue
                made: Any = plugins.get_operator(operator)()
                count = 0
                for node in nodes:
                    for start, _ in made.mutation_positions(node):
                        found[name, start].append((operator, count))
                        count += 1
    return found


def mutated(text: str, operator: str, occurrence: int) -> str:
    made = _cosmic_ray("plugins").get_operator(operator)()
    visitor = _cosmic_ray("mutating").MutationVisitor(occurrence, made)
    return str(visitor.walk(_cosmic_ray("ast").get_ast(text)).get_code())


def _cosmic_ray(module: str) -> Any:
    return importlib.import_module(f"cosmic_ray.{module}")  # not everybody has it


def means(text: str) -> str:
    """The program without what nothing evaluates: annotations, and code for type checkers."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
            if any("overload" in ast.unparse(one) for one in node.decorator_list):
                node.decorator_list = []
        elif isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(0)
    return ast.dump(tree)


class Map:
    """Which tests cover a line."""

    def __init__(self, path: Path) -> None:
        self._lines: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
        base = sqlite3.connect(path)
        rows = base.execute(
            "select file.path, context.context, line_bits.numbits from line_bits"
            " join file on file.id = line_bits.file_id"
            " join context on context.id = line_bits.context_id where context.context != ''"
        )
        for file, context, bits in rows:
            name = "sansio_gradio/" + file.rpartition("/sansio_gradio/")[2]
            test = _node(context)
            if test is not None:
                for line in _numbers(bits):
                    self._lines[name][line].add(test)

    def tests(self, file: str, line: int) -> list[str]:
        """Those of the module's own tests first; of a line that runs on import, any of the file."""
        lines = self._lines[file]
        found = lines.get(line) or set().union(*lines.values())
        own = f"test_{Path(file).stem}.py"
        return sorted(found, key=lambda test: (own not in test, test))


def _numbers(bits: bytes) -> Iterator[int]:
    for place, byte in enumerate(bits):
        for bit in range(8):
            if byte & 1 << bit:
                yield place * 8 + bit


def _node(context: str) -> str | None:
    """``tests.wire.test_sse.test_x`` as pytest names it."""
    module, _, name = context.rpartition(".")
    path = Path(*module.split(".")).with_suffix(".py")
    if not (ROOT / path).exists() or not name.startswith("test"):
        return None
    return f"{path.as_posix()}::{name}"


def fails(python: str, tree: Path, tests: Sequence[str]) -> bool:
    options = ["-q", "-x", "-n", "0", "-p", "no:cacheprovider", "--no-header", "-m", "not real"]
    try:
        done = subprocess.run(
            [python, "-B", "-m", "pytest", *options, *tests],
            cwd=tree,
            env={"PYTHONPATH": f"{tree}:{tree}/adapters", "CI": "1", "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return True
    return done.returncode != 0


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tests", required=True, help="the interpreter that runs the tests")
    parser.add_argument("--map", type=Path, required=True, help="coverage's data, with contexts")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=1e6, help="stop after so long")
    options = parser.parse_args(argv)
    covered, everywhere = Map(options.map), sites()
    rng = random.Random(options.seed)
    drawn = rng.sample(sorted(everywhere), len(everywhere))
    verdicts: Counter[str] = Counter()
    give_up = time.monotonic() + 60 * options.minutes
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=NOT_COPIED)
        for file, (line, _column) in drawn:
            if sum(verdicts.values()) >= options.count or time.monotonic() > give_up:
                break
            operator, occurrence = rng.choice(everywhere[file, (line, _column)])
            text = (ROOT / file).read_text("utf-8")
            changed = mutated(text, operator, occurrence)
            try:
                if means(changed) == means(text):
                    continue  # only a type checker would notice
            except SyntaxError:
                continue  # it is no program: the star of keyword-only parameters, for one
            tests = covered.tests(file, line)
            (tree / file).write_text(changed, "utf-8")
            killed = any(
                fails(options.tests, tree, tests[start:stop])
                for start, stop in STAGES
                if tests[start:stop]
            )
            (tree / file).write_text(text, "utf-8")
            verdicts["killed" if killed else "survived"] += 1
            print(f"{'killed  ' if killed else 'SURVIVED'} {file}:{line} {operator}", flush=True)
            if not killed:
                lines = (text.splitlines(), changed.splitlines())
                print(
                    "\n".join(list(difflib.unified_diff(*lines, n=0, lineterm=""))[2:]), flush=True
                )
    print(f"seed {options.seed}, of {len(everywhere)} places: {dict(verdicts)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
