"""Names and addresses."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_gradio.errors import ConnectFailed
from sansio_gradio_adapters.resolve import Address, in_order, literal, look_up, prepare

FOUR, SIX = socket.AF_INET.value, socket.AF_INET6.value


def test_an_address_needs_no_lookup() -> None:
    assert literal("127.0.0.1", 80) == [(FOUR, ("127.0.0.1", 80))]
    assert literal("::1", 443) == [(SIX, ("::1", 443, 0, 0))]


@pytest.mark.parametrize("host", ["localhost", "a..localhost"])
def test_a_name_is_no_address(host: str) -> None:
    assert literal(host, 80) is None


def test_a_socket_notices_that_nobody_is_there_any_more() -> None:
    with socket.socket() as sock:
        prepare(sock)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        if hasattr(socket, "TCP_KEEPIDLE"):
            names = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
            idle, interval, count = (sock.getsockopt(socket.IPPROTO_TCP, name) for name in names)
            assert idle + count * interval <= 120


def test_a_system_without_these_names_does_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "TCP_KEEPIDLE", raising=False)
    with socket.socket() as sock:
        prepare(sock)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_localhost_is_this_machine() -> None:
    assert (FOUR, ("127.0.0.1", 7860)) in look_up("localhost", 7860)


@pytest.mark.parametrize("host", ["nowhere.invalid", "a..b.invalid"])
def test_a_name_without_an_address_is_an_error_that_says_so(host: str) -> None:
    with pytest.raises(ConnectFailed, match=f"No address was found for {host}: .+") as caught:
        look_up(host, 80)
    assert caught.value.phase == "connect"
    assert caught.value.__cause__ is not None


def test_families_take_turns() -> None:
    six, four = [(SIX, "a"), (SIX, "b"), (SIX, "c")], [(FOUR, "x")]
    assert in_order(six + four) == [(SIX, "a"), (FOUR, "x"), (SIX, "b"), (SIX, "c")]


@given(st.lists(st.tuples(st.sampled_from([FOUR, SIX]), st.integers(0, 5))))
def test_each_address_is_tried_once_and_the_system_chooses_the_first(
    addresses: list[Address],
) -> None:
    ordered = in_order(addresses)
    assert sorted(ordered) == sorted(set(addresses))
    assert ordered[:1] == addresses[:1]
