"""The app that the real servers run, on Gradio 3.1 to 6: ``python main.py PORT``.

One endpoint for each thing that a server can do; where a version cannot, the endpoint is not there.

Environment: SHOW_ERROR=1 shows what functions raise, MAX_SIZE=n bounds the queue, CONCURRENCY=n is
how many jobs of one function run at once (8), AUTH=1 wants user "user" with password "secret",
ROOT_PATH mounts it below a path.
"""

import inspect
import itertools
import os
import sys
import tempfile
import threading
import time

import gradio as gr

VERSION = tuple(int(part) for part in gr.__version__.split(".")[:2])
CONCURRENCY = int(os.environ.get("CONCURRENCY", "8"))


def accepted(function, **options):
    """Those of the options that this version's function knows."""
    known = inspect.signature(function).parameters
    return {name: value for name, value in options.items() if name in known}


# What the endpoints do


def echo(text):
    return text


def greet(name, times, loud):
    words = " ".join(["hello", *[name] * int(times)])
    return words.upper() if loud else words


def divide(a, b):
    return a // b, a % b


def double(number, seconds):
    time.sleep(seconds)
    return 2 * number


def shout(text, seconds):
    time.sleep(seconds)
    return text.upper()


def count(steps):
    for step in range(int(steps)):
        yield f"step {step}"


def both(steps):
    """Two outputs that change at different times."""
    for step in range(int(steps)):
        yield step, f"text {step // 2}"


def turns(question, answer):
    """What a Chatbot shows, in the shape that this version wants."""
    if CHATBOT_TAKES_DICTS:
        return [
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        ]
    return [[question, answer]]


def chat(message):
    """A conversation that grows by a word at a time, then by a turn."""
    history = []
    for number in range(2):
        words = (f"You said: {message}. This is turn {number}.").split(" ")
        for end in range(1, len(words) + 1):
            yield history + turns(message, " ".join(words[:end]))
        history = history + turns(message, " ".join(words))


def shrink(text):
    """Lists that lose several items at once, at several depths."""
    yield turns("1", "a") + turns("2", "b") + turns("3", "c") + turns(text, "d")
    yield turns("1", "a")
    yield turns("1", "a") + turns("5", text)


def shrink_json(text):
    yield {"flat": [1, 2, 3, 4], "nested": [[1, 2, 3], [4, 5, [6, 7, 8]]], "text": text}
    yield {"flat": [1], "nested": [[1], [4, 5, [6]]], "text": text}
    yield {"flat": [], "nested": [[]], "new": None}


def fail(text):
    raise gr.Error("refused: " + text)


def fail_hidden(text):
    raise ValueError("secret: " + text)


def fail_midway(text):
    yield "first"
    yield "second"
    raise ValueError("secret: " + text)


def log(text):
    if hasattr(gr, "Info"):  # 3.36
        gr.Info("info: " + text)
        time.sleep(0.4)  # a client that looks now and then sees both
        gr.Warning("warning: " + text)
        time.sleep(0.4)
    return text


def remember(text, seen):
    seen = [*(seen or []), text]
    return ", ".join(seen), seen


def upper_file(file):
    path = file if isinstance(file, str) else file.name
    with open(path, "rb") as opened:
        content = opened.read().upper()
    result = os.path.join(tempfile.mkdtemp(), "upper.txt")
    with open(result, "wb") as opened:
        opened.write(content)
    return result


class Running:
    """How many slow jobs run now, and all their steps: whether a cancelled one really stopped."""

    def __init__(self):
        self.number = 0
        self.steps = 0
        self.lock = threading.Lock()

    def add(self, change):
        with self.lock:
            self.number += change

    def step(self):
        with self.lock:
            self.steps += 1


RUNNING = Running()


def slow(steps):
    RUNNING.add(1)
    try:
        for step in range(int(steps)):
            time.sleep(0.1)
            RUNNING.step()
            yield f"slow {step}"
    finally:
        RUNNING.add(-1)


def slow_running():
    return RUNNING.number


def slow_steps():
    return RUNNING.steps


def broken():
    return "a\ud800b"  # which is no UTF-8: the server fails as it writes it


if hasattr(gr, "Progress"):  # 3.16

    def progress(outer, inner, bar=gr.Progress()):  # noqa: B008 (this is how Gradio asks for it)
        for _ in bar.tqdm(range(int(outer)), desc="outer"):
            for _ in bar.tqdm(range(int(inner)), desc="inner", unit="rounds"):
                time.sleep(0.05)
        return "done"


def total(number, seen):
    """Called once for each piece of a streaming input."""
    if number < 0:
        raise gr.Error("too little")
    seen = [*(seen or []), number]
    return sum(seen), seen


FRAMES = itertools.count(1)


def frame(picture):
    return f"frame {next(FRAMES)}"


# The app

chatbot_options = {}
if "type" in inspect.signature(gr.Chatbot.__init__).parameters and VERSION < (6, 0):
    chatbot_options = {"type": "messages"}
CHATBOT_TAKES_DICTS = bool(chatbot_options) or VERSION >= (6, 0)

with gr.Blocks() as demo:
    State = getattr(gr, "State", None) or gr.Variable
    number, other, seconds = gr.Number(value=7), gr.Number(value=2), gr.Number(value=0)
    text, more = gr.Textbox(), gr.Textbox()
    name, loud = gr.Textbox(value="World"), gr.Checkbox(value=False)
    json = gr.JSON()
    chatbot = gr.Chatbot(**chatbot_options)
    file_in, file_out = gr.File(), gr.File()
    state = State([])
    click = inspect.signature(gr.Button("").click).parameters

    def endpoint(function, inputs, outputs, **options):
        options = {"concurrency_limit": CONCURRENCY, **options}
        known = {key: value for key, value in options.items() if key in click}
        api_name = function.__name__ if "api_name" not in known else known.pop("api_name")
        return gr.Button(api_name).click(function, inputs, outputs, api_name=api_name, **known)

    endpoint(echo, [text], [text])
    endpoint(greet, [name, other, loud], [text])
    endpoint(divide, [number, other], [seconds, other])
    endpoint(double, [number, seconds], [other])
    endpoint(shout, [text, seconds], [more])
    endpoint(fail, [text], [text])
    endpoint(fail_hidden, [text], [text])
    endpoint(log, [text], [text])
    endpoint(remember, [text, state], [text, state])
    endpoint(upper_file, [file_in], [file_out])
    endpoint(echo, [text], [text], api_name="echo_unqueued", queue=False)
    endpoint(slow_running, [], [number], queue=False)
    endpoint(slow_steps, [], [number], queue=False)
    endpoint(broken, [], [text], queue=False)
    if VERSION >= (3, 3):  # generators
        endpoint(count, [number], [text])
        endpoint(both, [number], [other, text])
        endpoint(chat, [text], [chatbot])
        endpoint(shrink, [text], [chatbot])
        endpoint(shrink_json, [text], [json])
        endpoint(fail_midway, [text], [text])
        slow_job = endpoint(slow, [number], [text])
        if "cancels" in click:
            gr.Button("stop").click(None, None, None, api_name="stop", cancels=[slow_job])
    if hasattr(gr, "Progress"):
        endpoint(progress, [number, other], [text])
    if VERSION >= (5, 0):
        camera = gr.Image(sources=["webcam"], streaming=True, type="filepath")
        camera.stream(
            frame, [camera], [text], api_name="frame", time_limit=30, concurrency_limit=CONCURRENCY
        )
        camera.stream(
            total,
            [number, state],
            [number, state],
            api_name="total",
            time_limit=30,
            concurrency_limit=CONCURRENCY,
        )

launch = {
    "server_name": "127.0.0.1",
    "server_port": int(sys.argv[1]),
    "show_error": os.environ.get("SHOW_ERROR") == "1",
}
wants_login = os.environ.get("AUTH") == "1"
if wants_login:
    launch["auth"] = ("user", "secret")
if os.environ.get("ROOT_PATH"):
    launch["root_path"] = os.environ["ROOT_PATH"]
if wants_login and VERSION < (3, 16):
    pass  # the oldest refuse to have both a login and a queue
elif VERSION < (3, 2):
    launch["enable_queue"] = True
else:
    queue = {}
    if os.environ.get("MAX_SIZE"):
        queue["max_size"] = int(os.environ["MAX_SIZE"])
    if VERSION < (4, 0):
        queue["concurrency_count"] = CONCURRENCY
    demo.queue(**accepted(demo.queue, **queue))
demo.launch(**accepted(demo.launch, **launch))
