"""Non-blocking sockets behind one selector: a world without an event loop.

Rule 1: one thread calls ``wait`` and, through the driver, the rest; only ``wake`` and ``call_soon``
may be called from anywhere.

Rule 2: a descriptor has one owner, ``_Dial`` or ``_Socket``, which closes it in every case.

Reading is non-blocking even after readiness: some TLS records carry no plaintext, such as the
session tickets of TLS 1.3, and a blocking read would wait for plaintext for ever.
"""

from __future__ import annotations

import os
import select
import selectors
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from inspect import isawaitable
from typing import Any, Final, Protocol, TypeAlias, TypeVar, cast

import attrs

from sansio_gradio.errors import (
    ConnectFailed,
    ConnectionLost,
    GradioError,
    LocalProtocolError,
)
from sansio_gradio_adapters import resolve
from sansio_gradio_adapters.resolve import Address

T = TypeVar("T")

READ_SIZE: Final = 256 * 1024
_MUCH: Final = 64 * 1024
_LONGEST_WAIT: Final = 24 * 3600.0  # seconds
LINGER: Final = 2.0  # seconds that a connection has to take its last bytes

READ: Final = selectors.EVENT_READ
WRITE: Final = selectors.EVENT_WRITE

OnReady: TypeAlias = Callable[[float], object]  # told the time


def is_readable(sock: Pollable) -> bool:
    """Whether unread bytes, or the end, have come."""
    if sock.fileno() < 0:
        return False  # closed: that is told in another way
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([sock], [], [], 0)[0])  # Windows, where any descriptor will do


def reset_on_close(sock: socket.socket) -> None:
    """Have the system forget what a peer does not take. It would keep that long after ``close``."""
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Pollable(Protocol):
    """A socket, or an object that stands for one in some event loops."""

    def fileno(self) -> int: ...


class Receiver(Protocol):
    """Told of everything that happens on the connections: ``EngineDriver``."""

    def opened(self, conn: int, now: float) -> None: ...
    def received(self, conn: int, data: bytes, now: float) -> None: ...
    def lost(self, conn: int, error: GradioError, now: float) -> None: ...
    def data_to_send(self, conn: int) -> bytes: ...


@attrs.define(eq=False)
class _Dial:
    """A connection in the making: addresses left to try, and attempts under way."""

    host: str
    port: int
    addresses: deque[Address] = attrs.field(factory=deque[Address])
    attempts: list[socket.socket] = attrs.field(factory=list[socket.socket])
    next_at: float | None = None  # when the next address is tried beside the attempts
    error: Exception | None = None  # of the latest attempt that failed


@attrs.define(eq=False)
class _Socket:
    sock: socket.socket
    mask: int = 0  # what the selector watches for
    reading: bool = True
    brings_much: bool = False  # the last read did: a large piece of memory of its own saves a copy
    ended: bool = False  # the peer sends no more
    out: bytes | memoryview = b""  # taken, and not written yet
    broken: OSError | None = None  # writing failed; reading tells why, or at least that
    closing_until: float | None = None  # closed, but for its last bytes


class Network:
    """All connections of one engine."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.read_size = READ_SIZE
        """The most bytes that are read from a connection at a time."""
        self._clock = clock
        self._receiver: Receiver
        self._selector = selectors.DefaultSelector()
        self._dials: dict[int, _Dial] = {}
        self._connections: dict[int, _Socket] = {}
        self._closing: set[_Socket] = set()
        self._lookups: dict[tuple[str, int], list[int]] = {}
        self._buffer = bytearray(READ_SIZE)
        self._soon: deque[OnReady] = deque()
        self._found: deque[tuple[socket.socket | None, OnReady]] = deque()
        """What the last look has found, and is not done yet; sockets that are ready."""
        self._bell, self._bell_push = socket.socketpair()
        self._bell.setblocking(False)
        self._bell_push.setblocking(False)
        self._selector.register(self._bell, READ, self._silence_bell)
        self.ring: Callable[[], object] = partial(self._bell_push.send, b"\0")
        """As ``wake``, all of it in C. OSError: it rings already, or nothing waits any more."""

    def tell(self, receiver: Receiver) -> None:
        """Set the receiver. It and this object need each other, so it is set second."""
        self._receiver = receiver

    # From any thread.

    def wake(self) -> None:
        """Make ``wait`` return at once, now or the next time."""
        with suppress(OSError):
            self.ring()

    def call_soon(self, callback: OnReady) -> None:
        """Let ``wait`` call *callback*, with the time, before it returns."""
        self._soon.append(callback)
        self.wake()

    # From the one thread.

    def fileno(self) -> int:
        """The descriptor that is readable when a socket is ready.

        Raises:
            LocalProtocolError: this system has no such descriptor.
        """
        if not hasattr(self._selector, "fileno"):
            raise LocalProtocolError("Sockets cannot be watched through one descriptor here.")
        return self._selector.fileno()

    def wait(self, timeout: float | None) -> bool:
        """Wait until something happens, at most *timeout* seconds, and tell the receiver.

        False: nothing has.
        """
        if not self._found:
            self._look(timeout)
        found = bool(self._found)
        while self._found:
            self._do_next()
        return found

    def tell_one(self) -> bool:
        """Tell the receiver of one thing that has happened, without waiting; False: nothing has.

        Connections take turns: each is read once before any is read again.
        """
        if not self._found:
            self._look(0.0)
        if not self._found:
            return False
        self._do_next()
        return True

    def _look(self, timeout: float | None) -> None:
        own = self.next_deadline()
        if own is not None:
            patience = max(0.0, own - self._clock())
            timeout = patience if timeout is None else min(timeout, patience)
        # To wake too early does no harm, and a system's select takes no month.
        ready = self._selector.select(timeout if timeout is None else min(timeout, _LONGEST_WAIT))
        for key, _ in ready:
            if isinstance(key.fileobj, socket.socket):
                self._found.append((key.fileobj, key.data))
        while self._soon:
            self._found.append((None, self._soon.popleft()))
        if own is not None and own <= self._clock():
            self._found.append((None, self._handle_timers))

    def _do_next(self) -> None:
        sock, do = self._found.popleft()
        # What was done before may have closed it (two attempts at a connection).
        if sock is None or sock.fileno() >= 0:
            do(self._clock())

    def shut_down(self) -> None:
        """Close everything, as it is."""
        for conn in list(self._dials):
            self._hang_up(self._dials.pop(conn))
        for connection in [*self._connections.values(), *self._closing]:
            connection.sock.close()
        self._connections.clear()
        self._closing.clear()
        self._selector.close()
        self._bell.close()
        self._bell_push.close()

    def let_go(self) -> None:
        """Close the descriptors in a forked process. Leave everything else: it is the parent's.

        Nothing is unregistered: a selector may be one with the parent's.
        """
        socks = [sock for dial in self._dials.values() for sock in dial.attempts]
        socks += [wire.sock for wire in (*self._connections.values(), *self._closing)]
        for sock in (*socks, self._bell, self._bell_push):
            sock.close()
        self._selector.close()

    # Servers.

    def listen(self, sock: socket.socket, accept: Callable[[socket.socket, float], object]) -> None:
        """Hand each connection that comes in on *sock* to *accept*, with the time."""
        sock.setblocking(False)
        self._selector.register(sock, READ, partial(self._accept, sock, accept))

    def _accept(
        self,
        listener: socket.socket,
        accept: Callable[[socket.socket, float], object],
        now: float,
    ) -> None:
        # Others first, then further ones. Too many open files: the system keeps them until later.
        with suppress(OSError):
            sock, _ = listener.accept()
            accept(sock, now)

    def listen_no_more(self, sock: socket.socket) -> None:
        """Accept no more connections, and close *sock*."""
        self._selector.unregister(sock)
        sock.close()

    def adopt(self, conn: int, sock: socket.socket) -> None:
        """Run a connection that was accepted."""
        sock.setblocking(False)
        resolve.prepare(sock)
        connection = self._connections[conn] = _Socket(sock)
        self._watch(conn, connection)

    # What the driver asks for: see ``World``.

    def open(self, conn: int, host: str, port: int) -> None:
        dial = self._dials[conn] = _Dial(host, port)
        addresses = resolve.literal(host, port)
        if addresses is not None:
            dial.addresses.extend(addresses)
            self._try_next(conn, dial)
        elif (waiting := self._lookups.get((host, port))) is not None:
            waiting.append(conn)
        else:
            threading.Thread(
                target=self._look_up, args=(host, port), name="name lookup", daemon=True
            ).start()  # which may be refused
            self._lookups[host, port] = [conn]

    def close(self, conn: int, last: bytes) -> None:
        if (dial := self._dials.pop(conn, None)) is not None:
            self._hang_up(dial)
        elif (connection := self._connections.pop(conn, None)) is not None:
            if last:
                connection.out = memoryview(bytes(connection.out) + last)
            connection.reading = False
            connection.closing_until = self._clock() + LINGER
            self._closing.add(connection)
            self._flush(conn, connection)

    def reset(self, conn: int) -> None:
        """Close a connection at once. What the peer has not taken is lost, in the system, too."""
        if (connection := self._connections.pop(conn, None)) is not None:
            reset_on_close(connection.sock)
            self._discard(connection)

    def pause(self, conn: int) -> None:
        self._read_on(conn, False)

    def resume(self, conn: int) -> None:
        self._read_on(conn, True)

    def wake_writer(self, conn: int) -> None:
        connection = self._connections.get(conn)
        if connection is not None and not connection.out:
            self._flush(conn, connection)

    def is_quiet(self, conn: int) -> bool:
        connection = self._connections.get(conn)
        return connection is None or not connection.reading or not is_readable(connection.sock)

    def read_elsewhere(
        self, read: Callable[[], T], then: Callable[[T], object], *, may_wait: bool
    ) -> bool:
        if not may_wait:
            return False  # for a disk this may wait

        def run() -> None:
            found: Any = read()
            if isawaitable(found):
                cast("Any", found).close()  # or Python warns that nobody awaited it
                what = (
                    "This file belongs to a client of asyncio or trio: save it, and pass the copy."
                )
                found = LocalProtocolError(what)
            self.call_soon(lambda _now: then(found))

        threading.Thread(target=run, name="a stream to upload", daemon=True).start()
        return True

    # Names.

    def _look_up(self, host: str, port: int) -> None:
        """Runs in a thread of its own, as long as the system's resolver takes."""
        try:
            found: list[Address] | ConnectFailed = resolve.look_up(host, port)
        except ConnectFailed as error:
            found = error
        self.call_soon(partial(self._looked_up, host, port, found))

    def _looked_up(
        self, host: str, port: int, found: list[Address] | ConnectFailed, now: float
    ) -> None:
        for conn in self._lookups.pop((host, port)):
            dial = self._dials.get(conn)
            if dial is None:
                continue  # given up meanwhile
            if isinstance(found, ConnectFailed):
                del self._dials[conn]
                self._receiver.lost(conn, found, now)
            else:
                dial.addresses.extend(found)
                self._try_next(conn, dial)

    # Connecting: the addresses in order, a next one beside a slow one (RFC 8305).

    def _try_next(self, conn: int, dial: _Dial) -> None:
        while dial.addresses:
            family, address = dial.addresses.popleft()
            try:
                with ExitStack() as failed:
                    sock = failed.enter_context(socket.socket(family, socket.SOCK_STREAM))
                    sock.setblocking(False)
                    with suppress(BlockingIOError):
                        sock.connect(address)
                    self._selector.register(sock, WRITE, partial(self._attempted, conn, dial, sock))
                    failed.pop_all()
            except Exception as error:  # after any error: another address may work
                dial.error = error
                continue
            dial.attempts.append(sock)
            break
        dial.next_at = self._clock() + resolve.ATTEMPT_DELAY if dial.addresses else None
        if not dial.attempts:
            self._soon.append(partial(self._unreachable, conn))

    def _attempted(self, conn: int, dial: _Dial, sock: socket.socket, now: float) -> None:
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        dial.attempts.remove(sock)
        self._selector.unregister(sock)
        if code:
            sock.close()
            dial.error = OSError(code, os.strerror(code))
            self._try_next(conn, dial)
            return
        del self._dials[conn]
        self._hang_up(dial)
        resolve.prepare(sock)
        self._connections[conn] = _Socket(sock)
        self._watch(conn, self._connections[conn])
        self._receiver.opened(conn, now)

    def _unreachable(self, conn: int, now: float) -> None:
        if (dial := self._dials.pop(conn, None)) is None:
            return
        why = getattr(dial.error, "strerror", None) or dial.error or "no address to try"
        place = resolve.place(dial.host, dial.port)
        error = ConnectFailed(f"No connection to {place}: {why}.", phase="connect")
        error.__cause__ = dial.error
        self._receiver.lost(conn, error, now)

    def _hang_up(self, dial: _Dial) -> None:
        for sock in dial.attempts:
            self._selector.unregister(sock)
            sock.close()

    # Connected.

    def _ready(self, conn: int, connection: _Socket, now: float) -> None:
        if connection.out:
            self._flush(conn, connection)
        if connection.reading:
            self._read(conn, connection, now)

    def _read(self, conn: int, connection: _Socket, now: float) -> None:
        try:
            if connection.brings_much:
                data = connection.sock.recv(self.read_size)
            else:
                size = connection.sock.recv_into(self._buffer, self.read_size)
                data = bytes(memoryview(self._buffer)[:size])
        except BlockingIOError:
            return
        except OSError as error:
            self._break(conn, connection, error, now)
            return
        connection.brings_much = len(data) >= _MUCH
        if not data and connection.broken is not None:
            self._break(conn, connection, connection.broken, now)
            return
        if not data:
            connection.ended = True
            connection.reading = False
            self._watch(conn, connection)
        self._receiver.received(conn, data, now)

    def _flush(self, conn: int, connection: _Socket) -> None:
        """Write until the socket takes no more, or there is no more."""
        while connection.broken is None:
            if not connection.out:
                if connection.closing_until is not None:
                    break
                connection.out = self._receiver.data_to_send(conn)
                if not connection.out:
                    break
            try:
                connection.out = memoryview(connection.out)[connection.sock.send(connection.out) :]
            except BlockingIOError:
                break
            except OSError as error:
                # Not told now: an answer may have come before it (413, and then the end).
                connection.broken = error
                connection.out = b""
        if connection.closing_until is not None and not connection.out:
            self._discard(connection)
        else:
            self._watch(conn, connection)

    def _watch(self, conn: int, connection: _Socket) -> None:
        mask = (READ if connection.reading else 0) | (WRITE if connection.out else 0)
        if mask == connection.mask:
            return
        if not connection.mask:
            self._selector.register(connection.sock, mask, partial(self._ready, conn, connection))
        elif mask:
            self._selector.modify(connection.sock, mask, partial(self._ready, conn, connection))
        else:
            self._selector.unregister(connection.sock)
        connection.mask = mask

    def _read_on(self, conn: int, reading: bool) -> None:
        if (connection := self._connections.get(conn)) is not None:
            connection.reading = reading and not connection.ended
            self._watch(conn, connection)

    def _break(self, conn: int, connection: _Socket, cause: OSError, now: float) -> None:
        del self._connections[conn]
        self._discard(connection)
        error = ConnectionLost(f"The connection was lost: {cause.strerror or cause}.")
        error.__cause__ = cause
        self._receiver.lost(conn, error, now)

    def _discard(self, connection: _Socket) -> None:
        self._closing.discard(connection)
        if connection.mask:
            self._selector.unregister(connection.sock)
            connection.mask = 0
        connection.sock.close()

    # Time.

    def next_deadline(self) -> float | None:
        """When ``wait`` has something to do even if no socket is ready; it may be in the past."""
        if self._soon:
            return self._clock()
        if not (self._dials or self._closing):
            return None
        times = [dial.next_at for dial in self._dials.values()]
        times += [connection.closing_until for connection in self._closing]
        return min((at for at in times if at is not None), default=None)

    def _handle_timers(self, now: float) -> None:
        for conn, dial in list(self._dials.items()):
            if dial.next_at is not None and dial.next_at <= now:
                self._try_next(conn, dial)
        for connection in list(self._closing):
            if connection.closing_until is not None and connection.closing_until <= now:
                self._discard(connection)

    def _silence_bell(self, _now: float) -> None:
        self._bell.recv_into(self._buffer)
