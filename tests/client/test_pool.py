"""Which connection carries which transfer, as the pool plans it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_gradio.client.commands import Expect
from sansio_gradio.client.connection import Connection, Transfer
from sansio_gradio.client.pool import MAX_IDLE, Assign, Close, Open, Plan, Pool
from sansio_gradio.limits import Limits
from tests.client.test_connection import ADDRESS, connection, request, websocket

LIMIT = 3
CALLS = 5
OTHER = "http://other:8080/queue/join"


def stream(url: str = ADDRESS) -> Transfer:
    return request("GET", Expect.STREAM, body=None, url=url)


def call(url: str = ADDRESS) -> Transfer:
    return request(expect=Expect.CALL, url=url)


KINDS: list[Callable[..., Transfer]] = [request, call, stream]


class Surroundings:
    """A pool, and what comes of its plans: connections that open when they are let."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.pool = Pool(Limits(connections=limit, calls=CALLS))
        self.now = 100.0
        self.opening: list[Transfer] = []
        self.carried: dict[Transfer, Connection] = {}
        self.closed: list[Connection] = []
        self.idle: set[Connection] = set()

    def want(self, *transfers: Transfer) -> list[Plan]:
        for transfer in transfers:
            self.pool.want(transfer)
        return self.plan()

    def plan(self) -> list[Plan]:
        plans: list[Plan] = []
        for plan in self.pool.plan(self.now):
            plans.append(plan)
            match plan:
                case Assign(transfer, made):
                    assert not transfer.aborted
                    assert transfer not in self.carried
                    self.idle.remove(made)
                    self.carried[transfer] = made
                case Open(transfer):
                    self.opening.append(transfer)
                case Close(made):
                    self.idle.remove(made)
                    self.closed.append(made)
        return plans

    def open(self) -> list[Plan]:
        """One connection is there."""
        made = connection(self.opening.pop(0))
        self.idle.add(made)
        self.pool.opened(made, self.now)
        return self.plan()

    def fail(self) -> list[Plan]:
        """One connection does not come about."""
        self.pool.not_opened(connection(self.opening.pop(0)))
        return self.plan()

    def release(self, transfer: Transfer) -> list[Plan]:
        made = self.carried.pop(transfer)
        self.idle.add(made)
        self.pool.released(made, transfer, self.now, is_kept=True)
        return self.plan()

    def settle(self) -> None:
        while self.opening:
            self.open()


def test_a_connection_is_opened_for_the_first_and_kept_for_the_next() -> None:
    net, first, second = Surroundings(), request(), request()
    assert net.want(first) == [Open(first)]
    (assigned,) = net.open()
    assert isinstance(assigned, Assign)
    assert assigned.transfer is first
    assert net.plan() == []
    net.release(first)
    assert net.want(second) == [Assign(second, assigned.connection)]


def test_a_host_gets_so_many_connections_for_requests_and_no_more() -> None:
    net, wanted = Surroundings(), [request() for _ in range(LIMIT + 2)]
    assert net.want(*wanted) == [Open(transfer) for transfer in wanted[:LIMIT]]
    net.settle()
    assert list(net.carried) == wanted[:LIMIT]
    net.release(wanted[1])
    assert list(net.carried) == [wanted[0], wanted[2], wanted[LIMIT]]


def test_streams_never_starve_a_request_nor_count_as_one() -> None:
    net, streams = Surroundings(), [stream() for _ in range(2 * LIMIT)]
    net.want(*streams)
    net.settle()
    assert len(net.carried) == 2 * LIMIT
    wanted = [request() for _ in range(LIMIT)]
    assert net.want(*wanted) == [Open(transfer) for transfer in wanted]
    net.settle()
    assert set(wanted) <= set(net.carried)
    net.release(streams[0])
    more = request()
    assert net.want(more) == []  # there is an idle connection, and enough that are busy
    late = stream()
    assert [type(plan) for plan in net.want(late)] == [Assign]
    net.release(wanted[0])
    assert more in net.carried


def test_calls_have_a_limit_of_their_own() -> None:
    net, calls = Surroundings(), [call() for _ in range(CALLS + 1)]
    net.want(*calls)
    net.settle()
    assert list(net.carried) == calls[:CALLS]
    other = request()
    assert net.want(other) == [Open(other)]
    net.settle()
    assert other in net.carried
    net.release(other)
    assert calls[-1] not in net.carried
    net.release(calls[0])
    assert calls[-1] in net.carried


def test_hosts_do_not_share_connections() -> None:
    net, here, there = Surroundings(1), request(), request(url=OTHER)
    assert net.want(here, there) in ([Open(here), Open(there)], [Open(there), Open(here)])
    net.settle()
    net.release(here)
    another = request(url=OTHER)
    assert net.want(another) == []
    net.release(there)
    assert net.carried[another].origin == ("http", "other", 8080)


def test_what_comes_first_goes_first() -> None:
    net, busy, waiting, again = Surroundings(1), request(), request(), request()
    net.want(busy, waiting)
    net.settle()
    net.pool.want(again, first=True)
    assert net.plan() == []
    net.release(busy)
    assert list(net.carried) == [again]


def idle_for(seconds: float) -> tuple[Surroundings, Connection]:
    net, first = Surroundings(), request()
    net.want(first)
    net.open()
    made = net.carried[first]
    net.now += 1000.0  # it was busy
    net.release(first)
    net.now += seconds
    return net, made


def test_a_connection_idle_for_too_long_takes_no_post() -> None:
    net, made = idle_for(MAX_IDLE + 0.1)
    post = request()
    assert net.want(post) == [Close(made), Open(post)]
    net, made = idle_for(MAX_IDLE)
    assert net.want(post) == [Assign(post, made)]


def test_what_may_be_sent_twice_is_sent_on_an_old_connection() -> None:
    net, made = idle_for(1000.0)
    get = request("GET", body=None)
    assert net.want(get) == [Assign(get, made)]
    net, made = idle_for(1000.0)
    listening = stream()
    assert net.want(listening) == [Assign(listening, made)]


def test_a_connection_that_was_never_used_grows_old_as_well() -> None:
    net, first = Surroundings(), request()
    net.want(first)
    first.aborted = True
    assert net.open() == []
    net.now += MAX_IDLE + 0.1
    post = request()
    assert [type(plan) for plan in net.want(post)] == [Close, Open]


@pytest.mark.parametrize("make", [request, stream])
def test_what_is_aborted_is_neither_sent_nor_opened_for(make: Callable[[], Transfer]) -> None:
    net, gone, kept = Surroundings(), make(), make()
    gone.aborted = True
    assert net.want(gone) == []
    assert net.want(gone, kept) == [Open(kept)]
    late = make()
    assert net.want(late) == [Open(late)]
    kept.aborted = True
    net.settle()
    assert list(net.carried) == [late]


def test_a_request_that_was_aborted_in_the_line_opens_nothing() -> None:
    net, first, gone, last = Surroundings(), request(), request(), request()
    gone.aborted = True
    assert net.want(first, gone, last) == [Open(first), Open(last)]
    net.settle()
    assert list(net.carried) == [first, last]


def test_a_connection_that_does_not_come_about_is_tried_for_the_next() -> None:
    net, first, second = Surroundings(1), request(), request()
    net.want(first, second)
    first.aborted = True  # whoever wanted it has been told
    assert net.fail() == [Open(second)]


def test_a_connection_that_broke_is_not_used_again() -> None:
    net, first, second = Surroundings(1), request(), request()
    net.want(first, second)
    net.settle()
    made = net.carried.pop(first)
    net.pool.released(made, first, net.now, is_kept=False)
    assert net.plan() == [Open(second)]


def test_a_lost_connection_is_not_planned_with() -> None:
    net, made = idle_for(0.0)
    net.pool.lost(made)
    post = request()
    assert net.want(post) == [Open(post)]


def test_a_websocket_gives_nothing_back() -> None:
    net, waiting = Surroundings(1), request()
    net.want(request(), waiting)
    net.settle()
    net.pool.released(connection(), websocket(), net.now, is_kept=False)
    assert net.plan() == []
    assert waiting not in net.carried


@given(st.data())
def test_whatever_happens_every_exchange_is_carried_once(data: st.DataObject) -> None:
    net = Surroundings()
    wanted: list[Transfer] = []
    dropped: set[Transfer] = set()
    for _ in range(data.draw(st.integers(0, 40))):
        match data.draw(st.sampled_from(["want", "open", "fail", "release", "abort", "wait"])):
            case "want":
                url = data.draw(st.sampled_from([OTHER, ADDRESS]))
                transfer = data.draw(st.sampled_from(KINDS))(url=url)
                wanted.append(transfer)
                net.want(transfer)
            case "open" if net.opening:
                net.open()
            case "fail" if net.opening:
                net.fail()
            case "release" if net.carried:
                done = data.draw(st.sampled_from(sorted(net.carried, key=wanted.index)))
                net.release(done)
                dropped.add(done)
            case "abort" if waiting := [e for e in wanted if e not in {*net.carried, *dropped}]:
                gone = data.draw(st.sampled_from(waiting))
                gone.aborted = True
                dropped.add(gone)
            case _:
                net.now += data.draw(st.sampled_from([0.1, 10.0]))
        for origin in {transfer.url.origin for transfer in wanted}:
            busy = Counter(e.expect for e in net.carried if e.url.origin == origin)
            assert busy[Expect.ANSWER] <= LIMIT
            assert busy[Expect.CALL] <= CALLS
    while len(dropped) < len(wanted):
        net.settle()
        assert net.carried, "something waits for nothing"
        dropped.add(done := next(iter(net.carried)))
        net.release(done)
