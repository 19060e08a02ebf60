"""Write ``diff_cases.json``: what the ``diff`` of real Gradio releases makes of random values.

    python tests/data/make_diff_cases.py 4.44.1=SITE_PACKAGES/gradio/utils.py 5.50.0=...

Each case has ``old``, ``new`` and, by version, the edits as on the wire (null: the server fails).
"""

from __future__ import annotations

import ast
import copy
import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

TARGET = Path(__file__).with_name("diff_cases.json")
COUNT = 60
SCALARS: list[Any] = [None, True, False, 0, 1, 1.0, 2, "", "a", "ab", "b"]


def real_diff(source: str) -> Callable[[Any, Any], Any]:
    """The function alone: all of Gradio need not be importable."""
    functions = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    body: list[ast.stmt] = [node for node in functions if node.name == "diff"]
    names: dict[str, Any] = {}
    exec(compile(ast.Module(body, []), "diff", "exec"), names)
    found: Callable[[Any, Any], Any] = names["diff"]
    return found


def random_value(chance: random.Random, depth: int) -> Any:
    kind = chance.choice(["scalar", "list", "dict"]) if depth else "scalar"
    if kind == "list":
        return [random_value(chance, depth - 1) for _ in range(chance.randrange(5))]
    if kind == "dict":
        keys = chance.sample("abc", chance.randrange(4))
        return {key: random_value(chance, depth - 1) for key in keys}
    return chance.choice(SCALARS)


def changed(chance: random.Random, value: Any, depth: int) -> Any:
    """Like *value*, but for something: what functions yield has much in common."""
    if isinstance(value, list) and chance.random() < 0.8:
        items = [changed(chance, item, depth - 1) for item in value]
        return chance.choice([items, items[: len(items) // 2], [*items, random_value(chance, 1)]])
    if isinstance(value, dict) and chance.random() < 0.8:
        kept = chance.sample(sorted(value), chance.randrange(len(value) + 1))
        same = {key: changed(chance, value[key], depth - 1) for key in kept}
        return chance.choice([same, {**same, "d": random_value(chance, 1)}])
    if isinstance(value, str):
        return value + chance.choice(["", "b", "ab"])
    return value if chance.random() < 0.7 else random_value(chance, depth)


def main() -> None:
    diffs = {}
    for argument in sys.argv[1:]:
        version, _, path = argument.partition("=")
        diffs[version] = real_diff(Path(path).read_text())
    chance = random.Random(5)
    cases: list[dict[str, Any]] = []
    while len(cases) < COUNT:
        old = random_value(chance, 4)
        new = changed(chance, old, 4)
        case = {"old": old, "new": new}
        for version, diff in diffs.items():
            try:
                case[version] = diff(copy.deepcopy(old), copy.deepcopy(new))
            except TypeError:
                case[version] = None
        size = len(json.dumps(case))
        if 300 < size < 1500:
            cases.append(case)
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    TARGET.write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
