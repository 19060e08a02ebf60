"""Whatever is passed as an option is taken, or refused as the caller's mistake."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_gradio.client.call import Call
from sansio_gradio.client.conversation import Conversation
from sansio_gradio.client.engine import Engine
from sansio_gradio.client.retry import Retry
from sansio_gradio.errors import LocalProtocolError, OptionError, QueueFullError
from sansio_gradio.events import SessionClosed
from sansio_gradio.limits import Limits, Timeouts
from sansio_gradio.testing.entropy import counted_entropy
from sansio_gradio.testing.talk import ECHO, SRC, Talk, app
from sansio_gradio.testing.worlds import World
from tests.support.worlds import WORLDS

texts = st.text() | st.sampled_from(["", "abc", "a\r\nb", "\ud800", "host", "x" * 10_000])
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts | st.binary()
    | st.sampled_from([10**400, -(10**400), math.inf, math.nan, object(), object, 1j])
    | st.decimals() | st.fractions(),
    lambda x: st.lists(x) | st.tuples(x, x) | st.tuples(x, x, x) | st.dictionaries(texts, x)
    | st.lists(st.tuples(texts, x)).map(lambda pairs: (pair for pair in pairs)),
    max_leaves=5,
)  # fmt: skip
OF_A_SESSION = (
    "headers", "cookies", "auth", "session_hash", "retry", "limits", "timeouts", "wall_offset",
    "app",
)  # fmt: skip
OF_A_CALL = (
    "headers",
    "timeout",
    "api_name",
    "fn_index",
    "trigger_id",
    "event_data",
    "extra",
    "want",
    "isolated",
)


@given(st.sampled_from(OF_A_SESSION), anything)
def test_a_session_takes_an_option_or_refuses_it(name: str, value: Any) -> None:
    try:
        talk = Conversation(SRC, entropy=counted_entropy(), **{name: value})
    except LocalProtocolError as error:
        str(error)
    else:
        while talk.next_command() is not None:
            pass


@given(anything)
def test_another_protocol_is_refused(value: Any) -> None:
    if value is not None:
        with pytest.raises(OptionError, match="no such protocol"):
            Conversation(SRC, entropy=counted_entropy(), protocol=value)


class Contrary(str):
    """A text, a truth and a function that raise whenever they are asked."""

    __slots__ = ()

    def __bool__(self) -> bool:
        raise RuntimeError

    def __hash__(self) -> int:
        raise RuntimeError

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    def __repr__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize("name", ["protocol", "strict", "json_loads", "session_hash", "headers"])
def test_what_raises_when_it_is_asked_is_refused_or_taken_as_it_is(name: str) -> None:
    options: dict[str, Any] = {name: Contrary("x")}
    if name == "session_hash":
        assert Conversation(SRC, entropy=counted_entropy(), **options).session_hash == "x"
        return
    with pytest.raises(OptionError, match=name):
        Conversation(SRC, entropy=counted_entropy(), **options)


def test_a_protocol_is_known_by_its_text_alone() -> None:
    talk = Talk(app(), protocol=Contrary("sse_v1"))
    assert type(talk.conversation.protocol) is str


@pytest.mark.parametrize("observe", [5, "x", Contrary("x")])
def test_an_observer_can_be_called(observe: Any) -> None:
    with pytest.raises(OptionError, match="observe is a function, or None"):
        Engine(entropy=counted_entropy(), observe=observe)
    for world in WORLDS.values():
        world.run(partial(refuses, world, observe))


async def refuses(world: World, observe: Any) -> None:
    with pytest.raises(OptionError, match="observe is a function, or None"):
        async with world.client(SRC, observe=observe):
            pass


@pytest.mark.parametrize("name", ["isolated", "want"])
def test_a_call_that_is_refused_leaves_nothing_behind(name: str) -> None:
    talk = Talk(app())
    options: dict[str, Any] = {name: Contrary("x")}
    with pytest.raises(OptionError, match=name):
        talk.conversation.submit("x", fn_index=ECHO, **options)
    assert talk.new() == []
    talk.conversation.close()
    talk.look()
    assert isinstance(talk.said[-1], SessionClosed)


@given(anything)
def test_another_address_is_refused(value: Any) -> None:
    with pytest.raises(LocalProtocolError):
        Conversation(value, entropy=counted_entropy())


@given(st.sampled_from(("limits", "timeouts")), anything)
def test_an_engine_takes_an_option_or_refuses_it(name: str, value: Any) -> None:
    if value is None:
        return
    with pytest.raises(LocalProtocolError, match=name):
        Engine(entropy=counted_entropy(), **{name: value})


@given(st.sampled_from(OF_A_CALL), anything)
def test_a_call_takes_an_option_or_refuses_it(name: str, value: Any) -> None:
    talk = Talk(app())
    where = {} if name in ("api_name", "fn_index") else {"fn_index": ECHO}
    options: dict[str, Any] = {**where, name: value}
    try:
        talk.conversation.submit("x", **options)
    except LocalProtocolError as error:
        str(error)
    else:
        talk.new()
        talk.sleep(1e6)


@given(st.sampled_from((Limits, Timeouts, Retry)), st.data())
def test_bounds_take_a_number_or_refuse_it(kind: Any, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([a.name for a in kind.__attrs_attrs__]))
    try:
        bounds = kind(**{name: data.draw(anything)})
    except LocalProtocolError as error:
        str(error)
    else:
        assert kind(**{name: getattr(bounds, name)}) == bounds


@pytest.mark.parametrize(
    ("given_time", "taken"),
    [
        (30 * 86400, 2592000.0), (10**400, math.inf), (math.inf, math.inf), (1e10, math.inf),
        (Decimal("1.5"), 1.5), (Fraction(1, 2), 0.5), (0, 0.0),
    ],
)  # fmt: skip
def test_a_time_is_a_float_that_every_system_bears(given_time: Any, taken: float) -> None:
    assert Call(timeout=given_time).timeout == taken


@pytest.mark.parametrize("wrong", [True, "5", b"5", math.nan, -1, -(10**400), Decimal("sNaN"), 1j])
def test_what_is_no_time_is_refused(wrong: Any) -> None:
    with pytest.raises(LocalProtocolError, match="timeout is in seconds"):
        Call(timeout=wrong)
    with pytest.raises(LocalProtocolError, match="connect is in seconds"):
        Timeouts(connect=wrong)


def test_a_job_is_tried_again_as_often_as_is_wanted() -> None:
    retry = Retry(times=10**400, longest=10**400, backoff=1e9)
    assert retry.delay(QueueFullError(), 10**6, 0.0) == math.inf
    assert Retry(times=2000).delay(QueueFullError(), 1999, 0.0) == 60.0
    assert Retry(times=2000).delay(QueueFullError(), 2000, 0.0) is None


def test_what_is_counted_may_be_without_bound() -> None:
    assert Limits(message=math.inf).message == Limits(message=10**400).message == 2**63 - 1  # type: ignore[arg-type]  # pyright: ignore
    assert Limits(message=1e6).message == 1_000_000  # type: ignore[arg-type]  # pyright: ignore
    for wrong in (1.5, True, "5", math.nan, -(10**400)):
        with pytest.raises(LocalProtocolError, match="message is a whole number"):
            Limits(message=wrong)  # type: ignore[arg-type]  # pyright: ignore
