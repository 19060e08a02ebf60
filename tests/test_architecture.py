"""The shape of the house, read from its source: what imports what, and who decides by protocol.

Each check is a function from sources to complaints. It is run twice: on the code, which must give
it nothing to say, and on a small bad sample, which must.
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import get_args

import attrs
import pytest

from sansio_gradio.client.options import Options
from sansio_gradio.protocol.protocols import Protocol
from sansio_gradio_adapters._options import ClientOptions

Sources = Mapping[str, str]  # path, relative to the project -> text
Check = Callable[[Sources], list[str]]

ROOT = Path(__file__).parent.parent

# Arrows point down only: a floor may use itself and those of a smaller number. Client and server
# stand side by side and do not know each other.
FLOORS = {
    "errors": 0,
    "given": 1,
    "limits": 2,
    "deadlines": 2,
    "wire": 3,
    "protocol": 4,
    "events": 5,
    "client": 6,
    "server": 6,
    "__init__": 7,
    "testing": 8,
}

# All that a pure module needs. What does I/O, looks at a clock, draws random numbers, logs or reads
# the environment is not here. Three modules know dates and, for other uses, the clock: see CLOCKS.
# fmt: off
PURE = {
    "__future__", "abc", "array", "ast", "base64", "binascii", "bisect", "calendar", "codecs",
    "collections", "contextlib", "copy", "datetime", "difflib", "email.utils", "enum",
    "fractions", "functools", "hashlib", "heapq", "hmac", "html", "http", "inspect", "ipaddress",
    "itertools", "json", "keyword", "math", "numbers", "operator", "re", "reprlib", "string",
    "struct", "textwrap", "types", "typing", "unicodedata", "urllib.parse",
    "attr", "attrs", "h11", "wsproto",
}
# fmt: on
IMPURE_CALLS = {"open", "print", "input", "exec", "eval", "breakpoint", "__import__"}
CLOCKS = {"now", "utcnow", "today", "localtime", "make_msgid"}

PROTOCOL_NAMES = set(get_args(Protocol))
PROTOCOL_TABLE = "sansio_gradio/protocol/protocols.py"


def read_sources() -> dict[str, str]:
    found = [*(ROOT / "sansio_gradio").rglob("*.py"), *(ROOT / "adapters").rglob("*.py")]
    return {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in sorted(found)}


def in_core(path: str) -> bool:
    return path.startswith("sansio_gradio/") and not path.startswith("sansio_gradio/testing/")


def imports(path: str, text: str) -> Iterator[tuple[int, str]]:
    """Every import, in functions and under TYPE_CHECKING too: its line and its absolute name.

    ``from x import y`` gives ``x.y``: y may be a module or a name.
    """
    package = path.removesuffix(".py").split("/")[:-1]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else []
            start = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{start}.{alias.name}") for alias in node.names)


def floor_of(module: str) -> str | None:
    """The floor of an absolute name, ``__init__`` for what only the package itself gives."""
    parts = module.split(".")
    if parts[0] != "sansio_gradio":
        return None
    return parts[1] if len(parts) > 1 and parts[1] in FLOORS else "__init__"


# The checks


def purity(sources: Sources) -> list[str]:
    """The core does no I/O and knows no clock, no randomness, no logging, no environment."""
    complaints: list[str] = []
    for path, text in sources.items():
        if not in_core(path):
            continue
        for line, name in imports(path, text):
            parts = name.split(".")
            prefixes = {".".join(parts[:count]) for count in range(1, len(parts) + 1)}
            if parts[0] != "sansio_gradio" and not prefixes & PURE:
                complaints.append(f"{path}:{line} imports {name}")
            if parts[-1] in CLOCKS:
                complaints.append(f"{path}:{line} imports a clock: {name}")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call):
                complaints += _impure_call(path, node)
    return complaints


def _impure_call(path: str, call: ast.Call) -> list[str]:
    match call.func:
        case ast.Name(id=name) if name in IMPURE_CALLS:
            return [f"{path}:{call.lineno} calls {name}()"]
        case ast.Name(id="formatdate") | ast.Attribute(attr="formatdate") if not call.args:
            return [f"{path}:{call.lineno} formats the date of now"]
        case ast.Attribute(value=ast.Name(id=owner) | ast.Attribute(attr=owner), attr=name):
            if owner in {"datetime", "date", "utils"} and name in CLOCKS:
                return [f"{path}:{call.lineno} looks at a clock: {owner}.{name}()"]
        case _:
            pass
    return []


def arrows_down(sources: Sources) -> list[str]:
    """Each floor imports itself and floors below; client and server do not import each other.

    Tests for others, which run whole clients, may import adapters.
    """
    complaints: list[str] = []
    for path, text in sources.items():
        if not path.startswith("sansio_gradio/"):
            continue
        own = path.split("/")[1].removesuffix(".py")
        if own not in FLOORS:
            complaints.append(f"{path}: there is no floor {own}")
            continue
        for line, name in imports(path, text):
            other = floor_of(name)
            if name.startswith("sansio_gradio_adapters") and in_core(path):
                complaints.append(f"{path}:{line} imports an adapter")
            elif other is not None and other != own and FLOORS[other] >= FLOORS[own]:
                complaints.append(f"{path}:{line} imports {name}, which is not below it")
    return complaints


def core_lines(sources: Sources) -> Counter[str]:
    """Lines of code of the server role, and of the rest of the core."""
    counted = Counter[str]()
    for path, text in sources.items():
        if in_core(path):
            is_server = path.startswith("sansio_gradio/server/")
            counted["the server role" if is_server else "the core"] += len(code_lines(text))
    return counted


def code_lines(text: str) -> set[int]:
    """The numbers of the lines that are code: not blank, no comment, no docstring.

    A string that stands alone is a docstring wherever it is: under a field as well.
    """
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    silent = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    lines: set[int] = set()
    for token in tokens:
        if token.type not in silent and token.type != tokenize.ENDMARKER:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Expr(value=ast.Constant(value=str()), lineno=first, end_lineno=int(last)):
                lines.difference_update(range(first, last + 1))
            case _:
                pass
    return lines


def protocols_are_data(sources: Sources) -> list[str]:
    """How protocols differ stands in the table of traits: nobody else compares their names."""
    return [
        f"{path}:{line} decides by a protocol's name: {name}"
        for path, text in sources.items()
        # The wire knows no Gradio: its "ws" is a URL's scheme.
        if path != PROTOCOL_TABLE and not path.startswith(("sansio_gradio/wire/", "tests/"))
        for line, name in protocol_names_decided_by(ast.parse(text))
    ]


def protocol_names_decided_by(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Compare(left=left, comparators=right):
                operands = [left, *right]
            case ast.MatchValue(value=value):
                operands = [value]
            case ast.Call(func=ast.Attribute(attr="startswith" | "endswith"), args=args):
                operands = args
            case ast.Subscript(value=ast.Dict(keys=keys)):  # a comparison in disguise
                operands = [key for key in keys if key]
            case _:
                continue
        yield from ((node.lineno, name) for name in _names(operands))


def _names(operands: list[ast.expr]) -> list[str]:
    """Protocol names among these expressions, and in the collections that they spell out."""
    spelt = [inner for operand in operands for inner in (operand, *_elements(operand))]
    values = [inner.value for inner in spelt if isinstance(inner, ast.Constant)]
    return [value for value in values if isinstance(value, str) and value in PROTOCOL_NAMES]


def _elements(node: ast.expr) -> list[ast.expr]:
    match node:
        case ast.Tuple(elts=elements) | ast.List(elts=elements) | ast.Set(elts=elements):
            return elements
        case ast.Call(func=ast.Name(id="frozenset" | "set" | "tuple"), args=[inner]):
            return _elements(inner)
        case _:
            return []


# By contract the clients of all worlds, and what they hand out, have the same words. Some have them
# from the core, and the scenarios of tests dress them up. World is what each of them lives in.
WORDS_OF_WORLDS = {
    *("Client", "FileStream", "Job", "JobCancelledError", "MessageStream", "Reader"),
    *("RemoteFile", "Results", "World"),
}


def names_mean_one_thing(sources: Sources) -> list[str]:
    """The name of a public class is the name of no other class, with or without an underscore.

    The blocking client's text is made from the text with ``await``, and so has its names.
    """
    places: dict[str, set[str]] = {}
    public: set[str] = set()
    for path, text in sources.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef):
                name = node.name.lstrip("_")
                places.setdefault(name, set()).add(path.replace("/_blocking/", "/_awaited/"))
                public |= {name} & {node.name}
    return [
        f"{name} means several things: {', '.join(sorted(places[name]))}"
        for name in sorted(public - WORDS_OF_WORLDS)
        if len(places[name]) > 1
    ]


OF_SERVERS_TOO = {"limits", "ssl_context"}
OPTIONS = {*attrs.fields_dict(Options), *attrs.fields_dict(ClientOptions)} - OF_SERVERS_TOO
# The outermost constructors, and those of values that are made of options at once.
TAKE_OPTIONS = {
    "sansio_gradio/client/conversation.py": "Conversation.__init__",
    "sansio_gradio/client/engine.py": "Engine.__init__",
    "sansio_gradio/client/credentials.py": "Credentials.__init__",
}


def options_are_one_value(sources: Sources) -> list[str]:
    """An option is a keyword of the outermost constructors only. Inside, ``Options`` has it, and in
    the adapters ``ClientOptions``."""
    return [
        f"{path}: {where} takes options one by one: {', '.join(sorted(taken))}"
        for path, text in sources.items()
        if path.startswith(("sansio_gradio/client/", "adapters/"))
        for where, function in _functions(ast.parse(text))
        if where != TAKE_OPTIONS.get(path)
        and len(taken := OPTIONS & {argument.arg for argument in _arguments(function)}) > 1
    ]


def _functions(tree: ast.AST, above: str = "") -> Iterator[tuple[str, ast.FunctionDef]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef):
            yield above + node.name, node
        name = f"{above}{node.name}." if isinstance(node, ast.ClassDef) else above
        yield from _functions(node, name)


def _arguments(function: ast.FunctionDef) -> list[ast.arg]:
    found = function.args
    return [*found.posonlyargs, *found.args, *found.kwonlyargs]


def server_modules_name_what_is_public(sources: Sources) -> list[str]:
    """Each module of the server role has an ``__all__``, sorted and of names that it defines."""
    complaints: list[str] = []
    for path, text in sources.items():
        if not path.startswith("sansio_gradio/server/") or path.endswith("/__init__.py"):
            continue
        tree = ast.parse(text)
        listed = [
            [element.value for element in node.value.elts if isinstance(element, ast.Constant)]
            for node in tree.body
            if isinstance(node, ast.Assign)
            and isinstance(node.value, ast.List)
            and ast.unparse(node.targets[0]) == "__all__"
        ]
        if not listed:
            complaints.append(f"{path} has no __all__")
            continue
        classes = {
            node.name
            for node in tree.body
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
        }
        complaints += [f"{path}: {name} is not in __all__" for name in classes - set(listed[0])]
    return complaints


def no_circles(sources: Sources) -> list[str]:
    """No module imports itself by way of others, also not for its types only."""
    modules = {
        path.removeprefix("adapters/").removesuffix(".py").removesuffix("/__init__"): path
        for path in sources
    }
    above: dict[str, set[str]] = {}
    for module, path in modules.items():
        names = [name.replace(".", "/") for _, name in imports(path, sources[path])]
        found = {name if name in modules else name.rpartition("/")[0] for name in names}
        above[module] = (found & modules.keys()) - {module}
    try:
        TopologicalSorter(above).prepare()
    except CycleError as circle:
        return [" imports ".join(reversed(circle.args[1]))]
    return []


# Run on the code, and on what must not pass.

BAD_SAMPLES: list[tuple[Check, dict[str, str]]] = [
    (purity, {"sansio_gradio/wire/x.py": "import socket"}),
    (purity, {"sansio_gradio/wire/x.py": "def f():\n    from os import environ"}),
    (purity, {"sansio_gradio/wire/x.py": "import urllib.request"}),
    (purity, {"sansio_gradio/wire/x.py": "import random"}),
    (purity, {"sansio_gradio/wire/x.py": "open('x')"}),
    (purity, {"sansio_gradio/wire/x.py": "__import__('os')"}),
    (purity, {"sansio_gradio/wire/x.py": "import importlib"}),
    (purity, {"sansio_gradio/wire/x.py": "import datetime\ndatetime.datetime.now()"}),
    (purity, {"sansio_gradio/wire/x.py": "from datetime import date\ndate.today()"}),
    (purity, {"sansio_gradio/wire/x.py": "from email.utils import localtime"}),
    (purity, {"sansio_gradio/wire/x.py": "from email.utils import formatdate\nformatdate()"}),
    (arrows_down, {"sansio_gradio/wire/x.py": "from sansio_gradio.protocol import messages"}),
    (arrows_down, {"sansio_gradio/wire/x.py": "from ..client.pool import Pool"}),
    (arrows_down, {"sansio_gradio/client/x.py": "from sansio_gradio.server import app"}),
    (arrows_down, {"sansio_gradio/server/x.py": "import sansio_gradio.client.job"}),
    (arrows_down, {"sansio_gradio/client/x.py": "from sansio_gradio import SSEDecoder"}),
    (arrows_down, {"sansio_gradio/client/x.py": "from .. import SSEDecoder"}),
    (arrows_down, {"sansio_gradio/errors.py": "from sansio_gradio.limits import Limits"}),
    (arrows_down, {"sansio_gradio/events.py": "from sansio_gradio.client import job"}),
    (arrows_down, {"sansio_gradio/client/x.py": "import sansio_gradio_adapters.tls"}),
    (arrows_down, {"sansio_gradio/attic.py": ""}),
    (arrows_down, {"sansio_gradio/server/x.py": "from sansio_gradio.testing import strategies"}),
    (arrows_down, {"sansio_gradio/__init__.py": "from sansio_gradio.testing import strategies"}),
    (
        no_circles,
        {
            "sansio_gradio/client/x.py": "from sansio_gradio.client import y",
            "sansio_gradio/client/y.py": "if TYPE_CHECKING:\n    from .x import X",
        },
    ),
    (protocols_are_data, {"sansio_gradio/client/x.py": "if p == 'sse_v3': pass"}),
    (protocols_are_data, {"sansio_gradio/client/x.py": "x = p in ('sse_v3', 'sse_v2')"}),
    (protocols_are_data, {"sansio_gradio/client/x.py": "x = p not in frozenset({'push'})"}),
    (protocols_are_data, {"adapters/a/x.py": "match p:\n    case 'ws' | 'sse': pass"}),
    (protocols_are_data, {"sansio_gradio/client/x.py": "p.startswith('sse')"}),
    (protocols_are_data, {"sansio_gradio/client/x.py": "f = {'ws': 1, 'sse': 2}[p]"}),
    (
        names_mean_one_thing,
        {"sansio_gradio/client/x.py": "class A: ...", "sansio_gradio/server/x.py": "class A: ..."},
    ),
    (
        names_mean_one_thing,
        {"sansio_gradio/client/x.py": "class _A: ...", "adapters/a/x.py": "class A: ..."},
    ),
    (options_are_one_value, {"sansio_gradio/client/x.py": "def f(*, retry, strict=False): ..."}),
    (
        options_are_one_value,
        {"adapters/a/_x.py": "class A:\n    def f(self, src, trust_env): ..."},
    ),
    (server_modules_name_what_is_public, {"sansio_gradio/server/x.py": "class A: ..."}),
    (
        server_modules_name_what_is_public,
        {"sansio_gradio/server/x.py": "__all__ = ['B']\nclass A: ..."},
    ),
]
CHECKS = list(dict.fromkeys(check for check, _ in BAD_SAMPLES))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_code_gives_no_cause_for_complaint(check: Check) -> None:
    assert check(read_sources()) == []


@pytest.mark.parametrize(("check", "sample"), BAD_SAMPLES)
def test_each_check_complains_of_a_bad_sample(check: Check, sample: dict[str, str]) -> None:
    assert check(sample) != []


def test_the_size_of_the_core_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        counted = core_lines(read_sources())
        parts = [f"{part} {counted[part]}" for part in ("the core", "the server role")]
        print(f"\nlines of code: {', '.join(parts)}")


def test_only_code_is_counted() -> None:
    text = '''"""Docs
over two lines."""
# a comment

x = """a value
over two lines"""  # and a comment
class C:
    y: int
    """About y."""
'''
    assert code_lines(text) == {5, 6, 7, 8}


def test_nothing_bad_is_found_in_what_is_good() -> None:
    sample = {
        "sansio_gradio/client/x.py": "from ..wire import sse\nfrom sansio_gradio.errors import E",
        "sansio_gradio/testing/x.py": "import hypothesis\nfrom sansio_gradio.server import app",
        "sansio_gradio/testing/y.py": "from sansio_gradio_adapters import server",
        "sansio_gradio/__init__.py": "from sansio_gradio.client.engine import Engine",
        "sansio_gradio/wire/url.py": "from urllib.parse import urlsplit\nx = scheme == 'ws'",
        "sansio_gradio/wire/http.py": "from email.utils import formatdate\nformatdate(now)",
        "sansio_gradio/protocol/protocols.py": "x = p == 'sse_v3'",
        "adapters/sansio_gradio_adapters/x.py": "import socket\nx = f(protocol='sse_v3')",
    }
    assert [complaint for check in CHECKS for complaint in check(sample)] == []


def test_the_standard_library_names_are_real() -> None:
    third_party = {"attr", "attrs", "h11", "wsproto"}
    assert {name.split(".")[0] for name in PURE - third_party} <= sys.stdlib_module_names
