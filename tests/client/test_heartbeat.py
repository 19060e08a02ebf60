"""The connection that keeps State, and what is asked when there was a gap in it."""

from __future__ import annotations

from typing import Any

import pytest

from sansio_gradio.client.commands import Abort, Expect, SendRequest
from sansio_gradio.events import Anomaly, SessionLost
from sansio_gradio.testing.talk import Talk, app, completed, starts
from tests.client.test_session_stream import DATA, JOIN, joined, more

APP_ID = 2**63 + 5  # 64 bits


def beaten(**options: Any) -> tuple[Talk, SendRequest, SendRequest]:
    """A conversation with one job under way, its stream and its heartbeat."""
    talk = Talk(app(connect_heartbeat=True, has_state=True, **options))
    joined(talk, "a")
    stream, beat = talk.requests(DATA, heartbeat_of(talk))
    talk.open(stream)
    return talk, stream, beat


def heartbeat_of(talk: Talk) -> str:
    return f"/heartbeat/{talk.conversation.session_hash}"


def test_a_heartbeat_is_opened_once_where_the_app_wants_one() -> None:
    talk, stream, beat = beaten()
    assert beat.expect is Expect.STREAM
    talk.open(beat)
    talk.conversation.data(beat.id, b"data: ALIVE\n\n", talk.now)
    more(talk, "b")
    talk.send(stream, starts("a"), completed(1, event_id="a"))
    assert talk.data_of(1) == (1,)
    assert talk.of(Anomaly) == []


def test_with_its_session_it_ends() -> None:
    talk, stream, beat = beaten()
    talk.open(beat)
    talk.send(stream, starts("a"), completed(1, event_id="a"))
    talk.conversation.reset()
    talk.look()
    assert Abort(beat.id) in talk.asked


def gap(talk: Talk, beat: SendRequest, ending: str = "ended") -> None:
    """The heartbeat ends, and another job is asked for."""
    if ending == "refused":
        talk.answer(beat, {"detail": "Not Found"}, status=404)
    else:
        talk.open(beat)
        (talk.end if ending == "ended" else talk.lose)(beat)
    assert talk.new() == []
    talk.conversation.submit("x", api_name="/echo")


@pytest.mark.parametrize("ending", ["ended", "lost", "refused"])
def test_a_heartbeat_that_fails_touches_nothing(ending: str) -> None:
    talk, stream, beat = beaten()
    gap(talk, beat, ending)
    talk.same_app()
    talk.answer(talk.request(JOIN), {"event_id": "b"})
    talk.request(heartbeat_of(talk))
    (anomaly,) = talk.of(Anomaly)
    assert anomaly.what.startswith("the heartbeat connection ended: ")
    assert anomaly.job is None
    talk.send(stream, starts("a"), completed(1, event_id="a"))
    assert talk.data_of(1) == (1,)


def test_a_server_that_was_started_anew_has_lost_the_session_each_time() -> None:
    talk, _, beat = beaten(app_id=APP_ID)
    losses = 0
    for app_id in (APP_ID + 1, APP_ID + 1, APP_ID):
        gap(talk, beat)
        before, old = talk.conversation.app, talk.conversation.session_hash
        assert before is not None
        talk.answer(talk.request("/app_id"), {"app_id": app_id})
        if app_id != before.app_id:
            losses += 1
            talk.answer(talk.request("/config"), {**before.config, "app_id": app_id})
        assert talk.of(SessionLost) == [SessionLost(session=0, state_lost=True)] * losses
        assert (talk.conversation.session_hash == old) is (app_id == before.app_id)
        talk.answer(talk.request(JOIN), {"event_id": f"after {beat.id}"})
        *_, beat = talk.requests(*[DATA] * (app_id != before.app_id), heartbeat_of(talk))
