"""docs/credentials.md says what the code does: where credentials go, what the environment says."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from sansio_gradio.client.credentials import GOES_TO, Credential, Recipient
from sansio_gradio.client.proxies import Proxies
from sansio_gradio.protocol.spaces import STAGES, Do
from sansio_gradio_adapters import hub_address, saved_token

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "credentials.md").read_text("utf-8")
ADAPTERS = ROOT / "adapters" / "sansio_gradio_adapters"
OF_OPENSSL = {"SSL_CERT_FILE", "SSL_CERT_DIR"}  # which OpenSSL reads itself


def table(title: str) -> dict[str, list[str]]:
    """The last table in a section: the cells of each row, by the first of them."""
    section = PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| ")]
    return {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in rows}


def named(cell: str) -> str:
    """The first name in code style."""
    found = re.match(r"`([^`]+)`", cell)
    return found[1] if found else cell


def test_each_credential_goes_where_the_page_says() -> None:
    rows = {named(name): cells for name, cells in table("Where each credential goes").items()}
    del rows["credential"]
    assert set(rows) == {credential.value for credential in Credential}
    for credential in Credential:
        app, hub = rows[credential.value]
        assert (app != "no") is (Recipient.APP in GOES_TO[credential])
        assert (hub != "no") is (Recipient.HUB in GOES_TO[credential])


def test_each_stage_is_on_the_page() -> None:
    section = PAGE.partition("\n## Spaces\n")[2]
    shown = {
        name: row.partition("|")[2]
        for row in re.findall(r"^\| (`[A-Z_]+`.*) \|$", section, re.MULTILINE)
        for name in re.findall(r"`([A-Z_]+)`", row.partition("|")[0])
    }
    words = {Do.GO_ON: "connects", Do.WAIT: "waits, up", Do.WAKE: "wakes", Do.GIVE_UP: "fails"}
    for stage, (what, _) in STAGES.items():
        assert words[what] in shown[stage]


def test_each_variable_that_is_read_is_on_the_page_and_no_other() -> None:
    section = PAGE.partition("## Environment variables\n")[2]
    rows = [row.split("|")[1] for row in section.splitlines() if row.startswith("| `")]
    shown = {name for row in rows for name in re.findall(r"`([A-Z_]+)`", row)}
    assert names_read() == shown - OF_OPENSSL


def names_read() -> set[str]:
    """The variables that the functions of ``_environment`` look at."""
    asked: set[str] = set()

    class Environment(dict[str, str]):
        def get(self, name: str, default: Any = None) -> Any:
            asked.add(name)
            return super().get(name, default)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.environ", Environment(HF_TOKEN_PATH="/nowhere/at/all"))
        assert saved_token() is None
        hub_address()
    # Of the proxies, which are looked for in a copy of the environment.
    text = inspect.getsource(Proxies.from_environment)
    return asked | {name.upper() for name in re.findall(r'"([A-Z]+_[A-Z]+|[a-z]+_proxy)"', text)}


def test_only_one_module_reads_the_environment() -> None:
    readers = {
        path.name
        for folder in (ADAPTERS, ROOT / "sansio_gradio")
        for path in folder.rglob("*.py")
        if path.parent.name != "conform"  # it hands the environment on to the client that it tries
        and re.search(r"\benviron\b|\bgetenv\b", path.read_text("utf-8"))
    }
    assert readers == {"_environment.py"}
