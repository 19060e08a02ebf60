"""docs/credentials.md says what the code does: where credentials go, what the environment says."""

from __future__ import annotations

import re
from pathlib import Path

from sansio_gradio.client.credentials import GOES_TO, Credential, Place
from sansio_gradio.protocol.spaces import STAGES, Do

ROOT = Path(__file__).parent.parent
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
        assert (app != "no") is (Place.APP in GOES_TO[credential])
        assert (hub != "no") is (Place.HUB in GOES_TO[credential])


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
    shown = {named(name) for name in table("Environment variables")} - {"variable"}
    text = "".join(path.read_text("utf-8") for path in ADAPTERS.rglob("*.py"))
    read = set(re.findall(r'"([A-Z][A-Z_]{4,})"', text))
    assert shown - OF_OPENSSL <= {*read}
    core = "".join(p.read_text("utf-8") for p in (ROOT / "sansio_gradio").rglob("*.py"))
    assert "os.environ" not in core
    hub = (ADAPTERS / "hub.py").read_text("utf-8")
    of_hub = set(re.findall(r'"((?:HF|HUGGING|XDG)_[A-Z_]+)"', hub))
    assert of_hub <= shown
