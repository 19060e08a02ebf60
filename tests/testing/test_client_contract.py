"""The project's own clients keep ``ClientContract``; small clients with one mistake each do not."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
import trio

from sansio_gradio.protocol.status import StatusUpdate
from sansio_gradio.testing.cases import SCENARIOS, TOGETHER, VARIATIONS, VERSIONS, cases
from sansio_gradio.testing.client_contract import ClientContract
from sansio_gradio_adapters import asyncio as on_asyncio
from sansio_gradio_adapters import trio as on_trio
from sansio_gradio_adapters.sockets import Client, OutputUpdate, handle_file
from tests.testing.naive import NaiveClient


def values(result: Any) -> list[Any]:
    return list(result) if isinstance(result, tuple) else [result]


class TestSockets(ClientContract):
    versions: ClassVar[Sequence[str]] = ("6.31.0",)
    can = frozenset({"status", "jobs", "cancel", "files"})

    def call(self, url: str, api_name: str, data: list[Any]) -> Any:
        with Client(url) as client:
            job = client.submit(*data, api_name=api_name)
            for update in job.updates():
                if isinstance(update, StatusUpdate):
                    yield update
                elif isinstance(update, OutputUpdate) and not update.final:
                    yield values(update.outputs)
            return values(job.result())

    def call_all(self, url: str, calls: list[tuple[str, list[Any]]]) -> list[list[Any]]:
        with Client(url) as client:
            jobs = [client.submit(*data, api_name=api_name) for api_name, data in calls]
            return [values(job.result()) for job in jobs]

    def call_and_cancel(self, url: str, api_name: str, data: list[Any]) -> None:
        with Client(url) as client:
            job = client.submit(*data, api_name=api_name)
            next(iter(job))
            job.cancel()

    def send_file(self, url: str, api_name: str, name: str, content: bytes) -> bytes:
        with Client(url) as client:
            file = client.predict(handle_file(content, name=name), api_name=api_name)
            return bytes(file.read())


@pytest.mark.exhaustive
class TestSocketsOnOtherReleases(TestSockets):
    versions = (*(one for one in VERSIONS if one not in TestSockets.versions), "3.16.2", "4.29.0")


class InTasks(ClientContract):
    async def outputs(self, client: Any, job: Any, seen: list[Any]) -> list[Any]:
        async for update in job.updates():
            if isinstance(update, OutputUpdate) and not update.final:
                seen.append(values(update.outputs))
        return values(await job)


@pytest.mark.exhaustive
class TestAsyncio(InTasks):
    def call(self, url: str, api_name: str, data: list[Any]) -> Any:
        seen: list[Any] = []

        async def run() -> list[Any]:
            async with on_asyncio.Client(url) as client:
                return await self.outputs(client, client.submit(*data, api_name=api_name), seen)

        try:
            result = asyncio.run(run())
        finally:
            yield from seen
        return result


@pytest.mark.exhaustive
class TestTrio(InTasks):
    def call(self, url: str, api_name: str, data: list[Any]) -> Any:
        seen: list[Any] = []

        async def run() -> list[Any]:
            async with on_trio.Client(url) as client:
                return await self.outputs(client, client.submit(*data, api_name=api_name), seen)

        try:
            result = trio.run(run)
        finally:
            yield from seen
        return result


# Clients with one mistake each


class ByIndex(NaiveClient):
    def delete(self, place: Any, last: Any) -> None:
        del place[last]


class ReplacesOnly(NaiveClient):
    def edited(self, value: Any, edits: list[Any]) -> Any:
        return edits[-1][2] if edits else value


class InPlace(NaiveClient):
    def updated(self, values: list[Any] | None, data: list[Any]) -> list[Any]:
        if values is None:
            return data
        for place, edits in enumerate(data):
            values[place] = self.edited(values[place], edits)
        return values


class AnyJob(NaiveClient):
    def events(self, answer: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
        event_id = None
        for message in super().events(answer):
            event_id = event_id or message.get("event_id")
            yield {**message, "event_id": event_id}


class ByLineFeed(NaiveClient):
    def lines(self, answer: http.client.HTTPResponse) -> Iterator[str]:
        for line in answer:
            yield line.decode().removesuffix("\n")


class OneLineOfData(NaiveClient):
    def events(self, answer: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
        for line in self.lines(answer):
            if line.startswith("data:"):
                yield json.loads(line[5:])


class OnlyFields(NaiveClient):
    def lines(self, answer: http.client.HTTPResponse) -> Iterator[str]:
        for line in super().lines(answer):
            if line:
                line.index(": ")
            yield line


class KnownKinds(NaiveClient):
    def events(self, answer: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
        kinds = {"estimation", "process_starts", "process_generating", "process_completed"}
        for message in super().events(answer):
            if message["msg"] not in {*kinds, "close_stream", "log", "progress"}:
                raise ValueError(message["msg"])
            yield message


class WithState(NaiveClient):
    def seen(self, values: list[Any], shown: list[bool]) -> list[Any]:
        return values


class LosesErrors(NaiveClient):
    def call(self, api_name: str, data: list[Any]) -> Any:
        try:
            return (yield from super().call(api_name, data))
        except RuntimeError:
            return [None]


class LosesOutputs(NaiveClient):
    def call(self, api_name: str, data: list[Any]) -> Any:
        outputs: list[Any] = []

        def keep() -> Any:
            outputs.append((yield from super(LosesOutputs, self).call(api_name, data)))

        yielded = list(keep())
        yield from yielded
        return outputs[0]


class WantsLength(NaiveClient):
    def ask(self, method: str, path: str, body: Any = None) -> bytes:
        connection = http.client.HTTPConnection(self.host, timeout=10)
        connection.request(method, path, json.dumps(body), {"content-type": "application/json"})
        with contextlib.closing(connection), connection.getresponse() as answer:
            return answer.read(int(answer.headers["content-length"]))


class TwoStreams(NaiveClient):
    def messages(self, session: str) -> Iterator[dict[str, Any]]:
        other = http.client.HTTPConnection(self.host, timeout=10)
        other.request("GET", f"{self.base}/queue/data?session_hash={session}")
        try:
            yield from super().messages(session)
        finally:
            other.close()


class Naive(ClientContract):
    made: type[NaiveClient] = NaiveClient
    patience = 10.0

    def call(self, url: str, api_name: str, data: list[Any]) -> Any:
        return self.made(url).call(api_name, data)


MISTAKES: dict[type[NaiveClient], tuple[str, str]] = {
    ByIndex: ("shrinking_list", "R-edit-1"),
    ReplacesOnly: ("growing", "R-edit-2"),
    AnyJob: ("growing, foreign jobs", "R-stream-4"),
    ByLineFeed: ("growing, CR", "R-stream-6"),
    OneLineOfData: ("growing, split data", "R-stream-6"),
    OnlyFields: ("growing, comments", "R-stream-6"),
    KnownKinds: ("growing, unknown messages", "R-message-1"),
    WithState: ("state", "R-data-4"),
    LosesErrors: ("error", "R-end-1"),
    LosesOutputs: ("half", "R-end-2"),
    WantsLength: ("growing, small chunks", "R-http-1"),
    TwoStreams: ("growing", "R-stream-3"),
    InPlace: ("growing_list", "R-edit-2"),
}
CASES = {case.name: case for case in cases(["4.44.1"])}


@pytest.mark.parametrize("made", MISTAKES, ids=lambda made: made.__name__)
def test_a_mistake_is_found_and_named(made: type[NaiveClient]) -> None:
    name, rule = MISTAKES[made]
    contract = Naive()
    contract.test_call(CASES[name])
    contract.made = made
    if made is TwoStreams:  # it gets stuck
        contract.patience = 0.5
    with pytest.raises(pytest.fail.Exception) as failed:
        contract.test_call(CASES[name])
    told = str(failed.value).splitlines()
    (said,) = [line for line in told if line.startswith("The rule is ")]
    assert said.split()[3] == rule
    assert "What was said, the last of it:" in told[:-5]


def test_a_client_that_is_stuck_is_named() -> None:
    class Stuck(Naive):
        patience = 0.2

        def call(self, url: str, api_name: str, data: list[Any]) -> Any:
            time.sleep(1.0)

    with pytest.raises(pytest.fail.Exception, match=r"stuck: no end after 0\.2 s"):
        Stuck().test_call(CASES["text"])


@pytest.mark.exhaustive
class TestNaive(Naive):
    """So that each of the mistakes is the one that is found."""

    versions = ("4.44.1", "6.31.0")


def test_every_rule_is_one() -> None:
    rules = {one.rule for one in (*SCENARIOS, *VARIATIONS, TOGETHER)}
    page = Path(__file__).parents[2] / "docs" / "protocol" / "anchors.txt"
    known = {line.rpartition("#")[2] for line in page.read_text("utf-8").split()}
    assert rules <= known


def test_what_a_client_does_not_override_says_so() -> None:
    with pytest.raises(NotImplementedError, match="override call"):
        ClientContract().test_call(CASES["text"])
