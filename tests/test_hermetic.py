"""Tests reach this machine and nothing beyond it."""

from __future__ import annotations

import socket

import pytest
from conftest import NotHermetic


def test_the_network_is_out_of_reach() -> None:
    with pytest.raises(NotHermetic), socket.socket() as sock:
        sock.connect(("192.0.2.1", 80))
    with pytest.raises(NotHermetic):
        socket.getaddrinfo("example.org", 80)


def test_this_machine_is_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()
    assert socket.getaddrinfo("localhost", 80)
