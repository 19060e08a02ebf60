"""Make the seeds of the targets that play whole sessions, out of recordings of real servers.

``python -m fuzz._seeds`` writes them anew; they are committed.
"""

from __future__ import annotations

from pathlib import Path

from fuzz._visit import NAME, answer, written
from tests.support import transcripts

CORPUS = Path(__file__).parent / "corpus"
SCENARIOS = (
    "add",
    "generator",
    "error_shown",
    "error_in_generator_shown",
    "queue_full",
    "log",
    "cancel",
)
RECORDED = ("3.50.2", "4.0.2", "4.16.0", "4.19.2", "4.44.1", "6.31.0")


def session(version: str, scenario: str) -> bytes:
    """What the server said in a recording, by what it was asked."""
    recording = transcripts.load(version, scenario)
    parts: list[tuple[bytes, bytes]] = []
    for conn in recording.connections:
        asked, said = recording.bytes_of(conn, "c2s"), recording.bytes_of(conn, "s2c")
        if not asked or not said:
            continue
        target = asked.split(b" ", 2)[1]
        if b"upgrade: websocket" in asked.lower():
            said = said.partition(b"\r\n\r\n")[2]
        name = b"/".join(target.partition(b"?")[0].split(b"/")[-2:])
        if len(said) < 6000:
            parts.append((name, said))
    return written(version, 61, *parts)


def asked(version: str, scenario: str) -> bytes:
    """What the clients said in a recording, a connection each."""
    recording = transcripts.load(version, scenario)
    said = [recording.bytes_of(conn, "c2s") for conn in recording.connections]
    return written(version, 61)[:2] + b"\x1e".join(said)


def hub(*answers: tuple[bytes, bytes]) -> bytes:
    return written("6.31.0", 61, *answers)


def seeds() -> dict[str, bytes]:
    """All of them, by their paths in the corpus."""
    made: dict[str, bytes] = {}
    for version in RECORDED:
        for scenario in SCENARIOS:
            if scenario in transcripts.scenarios(version):
                name = f"v{version.replace('.', '_')}_{scenario}"
                made[f"client_engine/{name}"] = session(version, scenario)
                made[f"server_engine/{name}"] = asked(version, scenario)
        if "upload_progress" in transcripts.scenarios(version):
            made[f"server_engine/v{version.replace('.', '_')}_upload"] = asked(
                version, "upload_progress"
            )
    page = "https://owner-name.hf.space"
    running = answer(200, {"stage": "RUNNING"})
    host = answer(200, {"subdomain": "owner-name", "host": page})
    building = answer(200, {"stage": "RUNNING_BUILDING"})
    made["hub/running"] = hub((b"/host", host), (b"/runtime", running))
    made["hub/building"] = hub((b"/host", host), (b"/runtime", building), (b"/runtime", running))
    asleep = answer(200, {"stage": "SLEEPING", "hardware": {"current": None}})
    made["hub/asleep"] = hub((b"/host", host), (b"/runtime", asleep), (b"/runtime", running))
    broken = answer(200, {"stage": "BUILD_ERROR", "errorMessage": "no"})
    made["hub/broken"] = hub((b"/host", host), (b"/runtime", broken))
    made["hub/unknown"] = hub((b"/host", answer(404, {"error": "Repository not found"})))
    made["hub/private"] = hub((b"/host", answer(401, {"error": "Invalid credentials"})))
    made["hub/limited"] = hub((b"/host", answer(429, {}, "retry-after: 3")))
    moved = answer(307, b"", "location: https://elsewhere.example/api")
    made["hub/moved"] = hub((b"/host", moved))
    elsewhere = answer(200, {"subdomain": "x", "host": "https://elsewhere.example"})
    made["hub/elsewhere"] = hub((b"/host", elsewhere))
    stored = answer(200, ["/tmp/gradio/a.txt"])
    result = {"path": "/tmp/gradio/a.txt", "meta": {"_type": "gradio.FileData"}}
    joined = answer(200, {"event_id": "e"})
    message = {"msg": "process_completed", "event_id": "e", "success": True}
    stream = (
        b"data: %b\n\n"
        % answer(200, {**message, "output": {"data": [result]}}).partition(b"\r\n\r\n")[2]
    )
    listened = answer(200, stream, "content-type: text/event-stream")
    body = b"the content of the file"
    tagged = answer(200, body, 'etag: "abc"', "accept-ranges: bytes")
    cut = tagged.replace(b"content-length: 23", b"content-length: 40")
    rest = answer(206, b"more of the content", 'etag: "abc"', "content-range: bytes 23-39/40")
    for version in ("3.50.2", "4.44.1", "6.31.0"):
        uploading = [(b"upload", stored), (b"queue/join", joined), (b"queue/data", listened)]
        for name, fetched in {
            "whole": [(b"file=", tagged)],
            "resumed": [(b"file=", cut), (b"file=", rest)],
            "missing": [(b"file=", answer(404, {"detail": "Not Found"}))],
            "moved": [(b"file=", answer(302, b"", "location: http://elsewhere.example/x"))],
        }.items():
            path = f"file_answers/v{version.replace('.', '_')}_{name}"
            made[path] = written(version, 61, *uploading, (b"upload", stored), *fetched)
    too_many = answer(200, ["/tmp/a", "/tmp/b"])
    made["file_answers/too_many"] = written("6.31.0", 7, (b"upload", too_many))
    too_large = answer(413, {"detail": "too large"})
    made["file_answers/too_large"] = written("6.31.0", 7, (b"upload", too_large))
    forms = {
        "two": b'--X\r\nContent-Disposition: form-data; name="files"; filename="a.txt"\r\n'
        b"Content-Type: text/plain\r\n\r\nhello\r\n--X\r\n"
        b'Content-Disposition: form-data; name="f"\r\n\r\n\r\n--X--\r\n',
        "extended": b"--X\r\ncontent-disposition: form-data; name=f; filename*=UTF-8''%c3%a9\r\n"
        b"\r\n\r\n--X\r\n--X--",
        "near": b"preamble\r\n--X\r\n\r\n\r\n--\r\n--XY\r\n--X \r\n\r\n-\r\n--X--epilogue",
        "unended": b'--X\r\nContent-Disposition: form-data; name="a\\"b"\r\n\r\nabc\r\n--',
    }
    for name, form in forms.items():
        made[f"multipart/{name}"] = b"\x03\x00X" + form
    assert all(NAME in seed for path, seed in made.items() if path.startswith("client_engine/"))
    return made


if __name__ == "__main__":
    for path, seed in seeds().items():
        (CORPUS / path).parent.mkdir(parents=True, exist_ok=True)
        (CORPUS / path).write_bytes(seed)
