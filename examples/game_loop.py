"""The engine inside a loop of one's own: a game that never waits.  python game_loop.py URL TEXT"""

import os
import sys
import time

from sansio_gradio.client.engine import Engine
from sansio_gradio.events import ConnectingFailed, JobCompleted, JobFailed, Output
from sansio_gradio_adapters.loop import Loop

FRAME = 1 / 60


class Game:
    def __init__(self) -> None:
        self.line = "..."
        self.over = False

    def take(self, event: object) -> None:
        """Called within ``poll`` for each event of the session."""
        match event:
            case Output():
                self.line = str(event.value[0])
            case JobCompleted():
                self.over = True
            case JobFailed() | ConnectingFailed():
                self.line, self.over = f"(nobody answers: {event.error})", True
            case _:
                pass


game = Game()
engine = Engine(entropy=os.urandom, wall_offset=time.time() - time.monotonic())
session = engine.session(sys.argv[1])
frames = 0
with Loop(engine) as loop:
    loop.attach(session.id, game.take)
    session.submit(sys.argv[2], api_name="/chat")
    while not game.over:
        loop.poll()  # what the network has for us, without waiting for it
        frames += 1  # ... move, draw, and show game.line ...
        time.sleep(FRAME)
print(f"{game.line} ({'more than one' if frames > 1 else 'one'} frame)")
