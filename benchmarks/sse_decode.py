"""How fast the event-stream decoder is, beside the splitter that most clients have.

``python benchmarks/sse_decode.py [rounds]`` prints MB/s and the ratio, best of the rounds. The two
take turns, so that whatever else the machine does troubles both. The peer finds events by their
blank line and knows nothing else of the format: no CR, no comments, no second data line, no limit.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sized

from sansio_gradio.wire.sse import SSEDecoder

TOTAL = 16 * 1024 * 1024


class Splitter:
    """``buffer += chunk`` and split, as gradio_client does it."""

    def __init__(self) -> None:
        self._buffer = b""

    def receive_data(self, data: bytes) -> list[str]:
        *blocks, self._buffer = (self._buffer + data).split(b"\n\n")
        return [block.removeprefix(b"data: ").decode() for block in blocks]


def event(size: int) -> bytes:
    return b"data: " + b'{"msg":"x"}'.ljust(size - 8, b"y") + b"\n\n"


def slices(stream: bytes, size: int) -> Iterator[bytes]:
    return (stream[at : at + size] for at in range(0, len(stream), size))


def seconds(receive: Callable[[bytes], Sized], chunks: list[bytes], events: int) -> float:
    start = time.perf_counter()
    seen = sum(len(receive(chunk)) for chunk in chunks)
    took = time.perf_counter() - start
    if seen != events:
        raise SystemExit(f"{seen} events of {events}: nothing to compare")
    return took


def main(rounds: int) -> None:
    print(f"{'event':>10} {'chunk':>10} {'ours MB/s':>10} {'split MB/s':>10} {'ratio':>6}")
    for event_size, chunk_size in (
        (317, 317),
        (317, 65_536),
        (317, 262_144),
        (1_000_000, 16_384),
        (1_000_000, 65_536),
        (1_000_000, 262_144),
        (1_000_000, 1_000_000),
    ):
        events = TOTAL // event_size
        chunks = list(slices(event(event_size) * events, chunk_size))
        ours = peer = float("inf")
        for _ in range(rounds):
            ours = min(ours, seconds(SSEDecoder().receive_data, chunks, events))
            peer = min(peer, seconds(Splitter().receive_data, chunks, events))
        size = events * event_size / 1e6
        print(
            f"{event_size:>10} {chunk_size:>10} {size / ours:>10.0f} {size / peer:>10.0f}"
            f" {peer / ours:>6.2f}"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
