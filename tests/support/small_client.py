"""A small client for Gradio 4.22 and later that tells JSON lines, and can have one defect.

``python small_client.py DEFECT URL API DATA JOBS``; the defect "none" is none. It is written from
the protocol pages, with nothing but the standard library: it stands for somebody's client.
"""

from __future__ import annotations

import http.client
import json
import re
import signal
import sys
import urllib.parse
from collections.abc import Iterator
from typing import Any

DEFECT = sys.argv[1]
SILENCE = 60 if DEFECT != "no_deadline" else None


def has(defect: str) -> bool:
    return defect == DEFECT


def tell(**line: Any) -> None:
    print(json.dumps(line), flush=True)


class Failed(Exception):
    pass


class Lost(Exception):
    pass


class Cancel(BaseException):
    pass


def on_interrupt(*_: object) -> None:
    raise Cancel


class Client:
    def __init__(self, url: str) -> None:
        self.url = urllib.parse.urlsplit(url)
        self.cookies = ""
        self.session = "s1" if has("empty_session") else "k3j5h2"
        if has("empty_session"):
            self.session = ""
        self.base = "/"
        response, body = self.ask("GET", "/config")
        if response.status != 200:
            raise Failed(f"no config: {response.status}")
        try:
            self.config = json.loads(body)
            self.functions = self.config["dependencies"]
        except (ValueError, TypeError, KeyError) as error:
            raise Failed("this is no Gradio app") from error
        if not has("no_cookies"):
            self.cookies = "; ".join(
                value.partition(";")[0]
                for name, value in response.getheaders()
                if name.lower() == "set-cookie"
            )
        prefix = self.config.get("api_prefix") or ""
        self.base = "/" if has("no_prefix") else f"{prefix}/"
        if has("uses_root"):
            self.url = urllib.parse.urlsplit(self.config["root"])
        self.hidden = {part["id"] for part in self.config["components"] if part["skip_api"]}

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(str(self.url.hostname), self.url.port, timeout=SILENCE)

    def headers(self) -> dict[str, str]:
        return {"Cookie": self.cookies} if self.cookies else {}

    def ask(
        self, method: str, path: str, body: Any = None
    ) -> tuple[http.client.HTTPResponse, bytes]:
        headers = self.headers()
        if body is not None and not has("no_content_type"):
            headers["Content-Type"] = "application/json"
        connection = self.connect()
        try:
            sent = None if body is None else json.dumps(body)
            connection.request(method, path, sent, headers)
            response = connection.getresponse()
            return response, response.read()
        except TimeoutError as error:
            raise Failed(f"{path}: no answer") from error
        except (OSError, http.client.HTTPException) as error:
            raise Failed(f"{path}: {error!r}") from error
        finally:
            connection.close()

    def join(self, api: str, data: list[Any]) -> Job:
        found = [
            (place, function)
            for place, function in enumerate(self.functions)
            if function["api_name"] == api.strip("/")
        ]
        place, function = found[-1 if has("last_of_name") else 0]
        if not function.get("backend_fn", True) and not has("runs_in_browser"):
            raise Failed("it runs in the browser only")
        given = iter(data)
        if has("no_state"):
            whole = list(data)
        else:
            whole = [None if one in self.hidden else next(given) for one in function["inputs"]]
        body = {
            "data": whole,
            "fn_index": place if has("by_place") else function.get("id", place),
            "session_hash": self.session,
        }
        response, answer = self.ask("POST", self.base + "queue/join", body)
        if has("joins_again") and response.status >= 500:
            response, answer = self.ask("POST", self.base + "queue/join", body)
        try:
            event_id = json.loads(answer)["event_id"] if response.status == 200 else None
        except (ValueError, TypeError, KeyError):
            event_id = None
        if event_id is None:
            raise Failed(f"refused, {response.status}: {answer[:200]!r}")
        return Job(function, event_id, self.hidden)

    def stop(self, job: Job) -> None:
        if has("tells_no_cancel"):
            return
        body = {
            "session_hash": self.session,
            "fn_index": job.function["id"],
            "event_id": "wrong" if has("cancels_another") else job.id,
        }
        self.ask("POST", self.base + "cancel", body)

    def listen(self, jobs: list[Job]) -> None:
        """Read streams until all jobs are over."""
        for attempt in range(2):
            heard = self.read_stream(jobs)
            is_open = [job for job in jobs if not job.is_over]
            if not is_open and not has("waits_for_end"):
                return
            if heard or has("reopens_never") or attempt:
                break
        if has("end_is_success"):
            for job in jobs:
                job.finish("result", job.outputs[-1] if job.outputs else [None])
        for job in jobs:
            job.finish("error", "the stream ended before the job")

    def read_stream(self, jobs: list[Job]) -> bool:
        """One stream. Whether a message of a job came."""
        heard = False
        connection = self.connect()
        try:
            path = f"{self.base}queue/data?session_hash={self.session}"
            connection.request("GET", path, headers=self.headers())
            response = connection.getresponse()
            if response.status != 200:
                raise Failed(f"no stream: {response.status}")
            for message in self.events(response):
                heard = self.take(message, jobs) or heard
                is_done = all(job.is_over for job in jobs)
                if is_done and not has("waits_for_end") and not has("takes_more"):
                    return True
        except TimeoutError as error:
            raise Lost("nothing came for 60 s") from error
        except (OSError, http.client.HTTPException) as error:
            raise Lost(f"the connection broke: {error!r}") from error
        finally:
            connection.close()
        return heard

    def events(self, response: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
        if has("splits_at_lf"):
            yield from self.simple_events(response)
            return
        rest, data = b"", list[bytes]()
        while chunk := response.read1(65536):
            if has("decodes_chunks"):
                chunk = chunk.decode("utf-8", "replace").encode()
            rest += chunk
            # A CR ends a line at once; the LF behind it makes an empty line of its own, harmless.
            lines = re.split(rb"\r\n|\n|\r", rest)
            rest = lines.pop()
            for line in lines:
                if line.startswith(b"data:"):
                    data.append(line[5:].removeprefix(b" "))
                elif line and has("no_other_lines"):
                    raise Failed(f"unexpected line {line!r}")
                elif not line and data:
                    text = b"\n".join(data)
                    data = []
                    try:
                        message = json.loads(text)
                    except ValueError as error:
                        raise Failed("a message is no JSON") from error
                    if isinstance(message, dict):
                        yield message
        if response.chunked and response.chunk_left is not None and response.chunk_left > 0:
            raise Lost("the stream broke")

    def simple_events(self, response: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
        rest = b""
        while chunk := response.read1(65536):
            rest += chunk
            while b"\n\n" in rest:
                event, rest = rest.split(b"\n\n", 1)
                lines = [line[5:] for line in event.split(b"\n") if line.startswith(b"data:")]
                text = b"".join(lines)
                if text:
                    yield json.loads(text)

    def take(self, message: dict[str, Any], jobs: list[Job]) -> bool:
        kind, event_id = message.get("msg"), message.get("event_id")
        if has("knows_all_kinds") and "brand" in str(kind):
            raise Failed(f"unknown message {kind}")
        if event_id is None:
            if kind == "unexpected_error" and not has("gives_up_never"):
                for job in jobs:
                    job.finish("error", message.get("message") or "given up")
            if kind == "heartbeat":
                for job in jobs:
                    if not job.heard:
                        job.finish("error", "the server has forgotten the job")
            return False
        for job in jobs:
            if job.id == event_id or has("takes_all"):
                job.heard = True
                job.receive(message)
                return True
        return False


class Job:
    def __init__(self, function: dict[str, Any], event_id: str, hidden: set[int]) -> None:
        self.function = function
        self.id = event_id
        self.shown = [part not in hidden for part in function["outputs"]]
        self.outputs: list[list[Any]] = []
        self.raw: list[Any] | None = None
        self.is_lost = False
        self.is_over = False
        self.heard = False
        self.end: tuple[str, Any] = ("error", "it has not ended")
        self.tells = True

    def finish(self, kind: str, value: Any) -> None:
        if self.is_over and not has("takes_more"):
            return
        self.is_over = True
        self.end = (kind, value)
        if self.tells:
            if has("tells_late") and kind == "result":
                for output in self.outputs:
                    tell(output=output)
            tell(**{kind: value})

    def receive(self, message: dict[str, Any]) -> None:
        kind, output = message["msg"], message.get("output") or {}
        if self.is_over and not has("takes_more"):
            return
        if kind == "process_generating":
            self.yielded(output["data"])
            if has("obeys_is_generating") and not output.get("is_generating"):
                self.finish("result", self.outputs[-1])
        elif kind == "unexpected_error":
            if not has("gives_up_never"):
                text = "it failed" if has("hides_errors") else message.get("message")
                self.finish("error", text or "given up")
        elif kind == "process_completed":
            if has("obeys_is_generating") and output.get("is_generating") is None:
                return
            if not message.get("success") and not has("all_is_success"):
                text = output.get("error") or "the app hides its error"
                self.finish("error", "it failed" if has("hides_errors") else text)
            elif "data" not in output:
                value = [None] if has("empty_is_result") else "the server stopped the job"
                self.finish("result" if has("empty_is_result") else "error", value)
            else:
                self.finish("result", self.seen(output["data"]))

    def yielded(self, data: list[Any]) -> None:
        if self.is_lost:
            return
        try:
            if self.raw is None:
                data = [self.first(item) for item in data]
            else:
                pairs = zip(self.raw, data, strict=True)
                data = [apply(json.loads(json.dumps(old)), edits) for old, edits in pairs]
        except Exception as error:
            if has("misfit_is_error"):
                raise Failed("an edit does not fit") from error
            self.is_lost = True
            return
        self.raw = data
        shown = self.seen(data)
        self.outputs.append(shown)
        if self.tells and not has("tells_late"):
            tell(output=shown)

    def first(self, item: Any) -> Any:
        kinds = ("replace", "append", "add", "delete")
        is_edits = (
            isinstance(item, list)
            and item
            and all(isinstance(one, list) and len(one) == 3 and one[0] in kinds for one in item)
        )
        if not is_edits or has("first_is_whole"):
            return item
        if item[0][:2] == ["replace", []]:
            return apply(None, item)
        raise ValueError("no base")

    def seen(self, data: list[Any]) -> list[Any]:
        pairs = zip(data, self.shown, strict=False)
        shown = data if has("shows_state") else [value for value, is_shown in pairs if is_shown]
        if has("shows_updates"):
            return shown
        return [
            v.get("value") if isinstance(v, dict) and v.get("__type__") == "update" else v
            for v in shown
        ]


def apply(value: Any, edits: list[Any]) -> Any:
    for action, path, new in edits:
        if not path:
            value = value + new if action == "append" else new
            continue
        place = value
        for step in path[:-1]:
            place = place[step]
        last = path[-1]
        if action == "append":
            place[last] += new
        elif isinstance(place, list) and action in ("add", "delete"):
            if has("obeys_indices"):
                place.insert(last, new) if action == "add" else place.pop(last)
            else:
                place.append(new) if action == "add" else place.pop()
        elif action == "delete":
            del place[last]
        else:
            place[last] = new
    return value


def main(url: str, api: str, data: str, jobs: str = "[]") -> None:
    started: list[Job] = []
    try:
        client = Client(url)
        calls: list[list[Any]] = json.loads(jobs) or [[api, json.loads(data)]]
        if has("listens_first"):
            client.read_stream([])
        for name, args in calls:
            job = client.join(name, args)
            job.tells = len(calls) == 1
            started.append(job)
        signal.signal(signal.SIGINT, on_interrupt)
        try:
            client.listen(started)
        except Cancel:
            for job in started:
                client.stop(job)
            tell(cancelled=True)
            return
        if len(calls) > 1:
            failed = [job.end[1] for job in started if job.end[0] == "error"]
            tell(**({"error": failed[0]} if failed else {"result": [j.end[1] for j in started]}))
    except (Failed, Lost, KeyError, TypeError) as error:
        tell(error=str(error))


if __name__ == "__main__":
    main(*sys.argv[2:])
