"""Invariant: whatever the Hub answers about a Space, the client connects or says why not, and the
token goes to the Hub and to the host that it names, and nowhere else.

For the data see ``_visit.py``.
"""

from __future__ import annotations

from functools import partial

from fuzz._visit import Visit, written

TOKEN = "hf_secret"


def target(data: bytes) -> None:
    visit = Visit("owner/name", data, token=TOKEN, hub="https://hub.example")
    visit.play(partial(visit.session.submit, "x", api_name="/many", timeout=100.0))
    visit.end()
    answers = [said for asked, said in visit.said if asked.path.endswith("/host")]
    named = b"".join(said for said in answers if b" 200 " in said.partition(b"\r\n")[0]).lower()
    hosts = {opened.conn: opened for opened in visit.driver.opened}
    for asked in visit.peer.asked:
        if any(TOKEN in value for value in asked.headers.values()) or TOKEN in asked.target:
            opened = hosts[asked.conn]
            assert opened.server_name is not None, "a token without TLS"
            is_hub = opened.host == "hub.example"
            assert is_hub or opened.host.encode() in named, opened.host


def grown(times: int) -> bytes:
    """An input that is *times* as long, for counting the work."""
    fields = b'"x": [1, {}], ' * (200 * times)
    host = b'{%b"host": "https://owner-name.hf.space"}' % fields
    stage = b'{%b"stage": "RUNNING"}' % fields
    answered = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b"
    answers = ((b"/host", host), (b"/runtime", stage))
    parts = [(name, answered % (len(said), said)) for name, said in answers]
    return written("6.31.0", 20, *parts)
