"""The requests and texts of a client, for every protocol.

Targets are relative to the app's base (its page, plus ``api_prefix``), bodies compact JSON.
Routes: gradio routes.py of each version; docs/protocol.md#map.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

import attrs

from sansio_gradio.protocol.features import Feature, Version, has
from sansio_gradio.protocol.given_file import GivenFile
from sansio_gradio.protocol.protocols import Channel, Handover, Traits, traits_of
from sansio_gradio.wire import json
from sansio_gradio.wire.body import Body, FileSlice
from sansio_gradio.wire.headers import Headers, checked
from sansio_gradio.wire.json import JSON
from sansio_gradio.wire.multipart import Part, content_type, form
from sansio_gradio.wire.snapshot import mapping

JSON_CONTENT: Final[Headers] = (("content-type", "application/json"),)
STREAM_CONTENT: Final[Headers] = (("accept", "text/event-stream"),)


@attrs.frozen
class TextFrame:
    """A text message on the job's WebSocket."""

    text: str


@attrs.frozen
class HTTPRequest:
    """An HTTP request; ``target`` is relative to the app's base, without a leading slash."""

    method: str
    target: str
    headers: Headers = ()
    body: bytes | Body | None = None


def send_data_frame(
    protocol: str,
    data: Mapping[str, Any],
    hash_data: Mapping[str, Any],
    request_headers: Mapping[str, str] | None = None,
) -> TextFrame | HTTPRequest:
    """The frame that hands a job's data to the server: ``{**data, **hash_data}``.

    ``data`` holds ``data`` (a list) and the keys beside it. ``hash_data`` names the job:
    ``fn_index`` and ``session_hash``, for ``sse`` also the ``event_id`` of the server's question.
    ``request_headers`` are added to an HTTP request; a frame of a WebSocket has no headers.

    Raises:
        OptionError: there is no such protocol.
        LocalProtocolError: the data cannot be JSON, or a header field cannot be sent.
    """
    body = {**mapping(data, "data"), **mapping(hash_data, "hash_data")}
    return data_frame(traits_of(protocol), body, request_headers)


def data_frame(
    traits: Traits, body: Mapping[str, Any], request_headers: Mapping[str, str] | None = None
) -> TextFrame | HTTPRequest:
    """``send_data_frame`` for a row of the table and a finished body."""
    headers = checked(request_headers or {})
    if traits.channel is Channel.WEBSOCKET:
        return data_text(body)
    if traits.channel is Channel.POLL:
        return push(body, headers)
    if traits.handover is Handover.ASKED:
        return job_data(body, headers)
    return join(body, headers)


def join(body: Mapping[str, Any], headers: Headers = ()) -> HTTPRequest:
    """Join the queue; the answer names the job (4.9 and later)."""
    return HTTPRequest("POST", "queue/join", _json(headers), json.dumps(body))


def push(body: Mapping[str, Any], headers: Headers = ()) -> HTTPRequest:
    """Join the queue of servers up to 3.1.4; the answer names the job by its ``hash``."""
    pushed = json.dumps({"action": "predict", **body})
    return HTTPRequest("POST", "api/queue/push/", _json(headers), pushed)


def poll(hash: str) -> HTTPRequest:
    """Ask for the state of a job that ``push`` has handed in, and for its result (up to 3.1.4)."""
    return HTTPRequest("POST", "api/queue/status/", JSON_CONTENT, json.dumps({"hash": hash}))


def job_data(body: Mapping[str, Any], headers: Headers = ()) -> HTTPRequest:
    """Hand over the data of the job that ``event_id`` names, when the server asks (4.0 to 4.8)."""
    return HTTPRequest("POST", "queue/data", _json(headers), json.dumps(body))


def data_text(body: Mapping[str, Any]) -> TextFrame:
    """The answer to ``send_data`` on a WebSocket."""
    return TextFrame(json.dumps(body).decode())


def hash_frame(fn_index: int, session_hash: str) -> TextFrame:
    """The answer to ``send_hash`` (3.6 and later)."""
    return TextFrame(json.dumps({"fn_index": fn_index, "session_hash": session_hash}).decode())


def hello_frame(session_hash: str) -> TextFrame:
    """The first text on a WebSocket, which the server waits for (3.1.5 to 3.1.7)."""
    return TextFrame(json.dumps({"hash": session_hash}).decode())


def session_stream(session_hash: str) -> HTTPRequest:
    """The event stream of a session (4.9 and later)."""
    query = urlencode({"session_hash": session_hash})
    return HTTPRequest("GET", f"queue/data?{query}", STREAM_CONTENT)


def job_socket(headers: Headers = ()) -> HTTPRequest:
    """The WebSocket of one job (3.1.5 to 3.50)."""
    return HTTPRequest("GET", "queue/join", headers)


def job_stream(
    fn_index: int, session_hash: str, data: list[Any] | None = None, headers: Headers = ()
) -> HTTPRequest:
    """The event stream of one job (4.0 to 4.8); with *data* the server does not ask for it."""
    fields = {"fn_index": str(fn_index), "session_hash": session_hash}
    if data is not None:
        fields["data"] = json.dumps(data).decode()
    return HTTPRequest("GET", f"queue/join?{urlencode(fields)}", (*STREAM_CONTENT, *headers))


def download(target: str, headers: Headers = (), *, method: str = "GET") -> HTTPRequest:
    """Fetch a file, or (``HEAD``) ask what there is to fetch; *target* as in ``RemoteFile``."""
    return HTTPRequest(method, target, headers, None)


def heartbeat(session_hash: str) -> HTTPRequest:
    """The stream that keeps a session alive on the server (4.25 and later)."""
    return HTTPRequest("GET", f"heartbeat/{quote(session_hash, safe='')}", STREAM_CONTENT)


def app_id() -> HTTPRequest:
    """Ask for ``{"app_id": ...}``, a number that changes with each start of the server (3.17 and
    later)."""
    return HTTPRequest("GET", "app_id")


def cancel(session_hash: str, fn_index: int, event_id: str) -> HTTPRequest:
    """Stop a job (4.31 and later); stops *every* running job of that function in that session."""
    body = {"session_hash": session_hash, "fn_index": fn_index, "event_id": event_id}
    return HTTPRequest("POST", "cancel", JSON_CONTENT, json.dumps(body))


def reset(event_id: str) -> HTTPRequest:
    """Stop a job (4.0 to 4.30)."""
    return HTTPRequest("POST", "reset", JSON_CONTENT, json.dumps({"event_id": event_id}))


def stop(
    version: Version, session_hash: str, fn_index: int, event_id: str | None
) -> HTTPRequest | None:
    """The request that stops a job; None if this version cannot stop jobs, or if the job has no
    event_id yet."""
    if event_id is not None and has(version, Feature.CANCEL):
        return cancel(session_hash, fn_index, event_id)
    if event_id is not None and has(version, Feature.RESET_BY_EVENT):
        return reset(event_id)
    return None


def plain_call(body: Mapping[str, Any], headers: Headers = ()) -> HTTPRequest:
    """Run an endpoint without the queue. ``fn_index`` in the body wins over the name in the path,
    so one path serves every endpoint of every version (gradio@3.50.2 routes.py: predict)."""
    return HTTPRequest("POST", "api/predict", _json(headers), json.dumps(body))


def call(
    api_name: str, body: Mapping[str, Any], headers: Headers = (), *, by_name: bool = False
) -> HTTPRequest:
    """Join by the simple REST API; the answer names the job (4.20 and later).

    ``by_name``: *body* has each argument under its parameter's name (6.13 and later).
    """
    target = f"call/v2/{_name(api_name)}" if by_name else f"call/{_name(api_name)}"
    return HTTPRequest("POST", target, _json(headers), json.dumps(body))


def call_stream(api_name: str, event_id: str, headers: Headers = ()) -> HTTPRequest:
    """The events of a job of the simple REST API; they can be read once."""
    target = f"call/{_name(api_name)}/{quote(event_id, safe='')}"
    return HTTPRequest("GET", target, (*STREAM_CONTENT, *headers))


def _name(api_name: str) -> str:
    return quote(api_name.removeprefix("/"), safe="")


def component_call(
    session_hash: str, component: int, function: str, data: Any, headers: Headers = ()
) -> HTTPRequest:
    """Call a server function of a component, such as FileExplorer's ``ls`` (3.47 and later)."""
    body = {"session_hash": session_hash, "component_id": component, "fn_name": function}
    dumped = json.dumps({**body, "data": data})
    return HTTPRequest("POST", "component_server", _json(headers), dumped)


def next_chunk(event_id: str, body: Mapping[str, Any] | None, headers: Headers = ()) -> HTTPRequest:
    """The next piece of a streaming input, or None for its end (5.0 and later)."""
    target = f"stream/{quote(event_id, safe='')}"
    if body is None:
        return HTTPRequest("POST", f"{target}/close", headers)
    return HTTPRequest("POST", target, _json(headers), json.dumps(body))


def upload(file: GivenFile, boundary: str) -> HTTPRequest:
    """Upload a file; the answer is a list of its one path at the server (3.19 and later).

    *boundary*: as for ``multipart.form``.
    """
    content = FileSlice(file, 0, file.size)
    pieces = form([Part("files", file.name, file.mime_type, content)], boundary)
    headers = (("content-type", content_type(boundary)),)
    return HTTPRequest("POST", "upload", headers, Body(tuple(pieces)))


def uploaded(answer: JSON) -> str | None:
    """The path in the answer to an upload; None: the server has not taken the file.

    A server that could not read the form answers 200 with an empty list (4.0 and later).
    """
    if isinstance(answer, list) and len(answer) == 1 and isinstance(answer[0], str):
        return answer[0] or None
    return None


def _json(headers: Headers) -> Headers:
    if not headers:
        return JSON_CONTENT
    return (*JSON_CONTENT, *(pair for pair in headers if pair[0] != "content-type"))
