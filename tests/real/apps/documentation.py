"""The app of the published streaming examples: ``python documentation.py PORT``, Gradio 3.16 to 6.

No server sends a "stop" or a "shutdown" of its own accord: there the examples end with their job,
or are interrupted.
"""

import sys
import time

import gradio as gr

STEP = 0.1  # seconds
ENDLESS = 600  # steps

steps = {"of a monitor": 3, "taken": 0}


def chat(text):
    yield "Fine"
    yield f"Fine, thanks for {text}"


def process(name, progress=gr.Progress()):  # noqa: B008 (this is how Gradio asks for it)
    for _ in progress.tqdm(range(4)):
        time.sleep(STEP)  # the server looks twenty times a second
    return f"{name} is done"


def queue_process(name):
    time.sleep(STEP)
    return f"{name} is done"


def stream(text):
    yield f"{text}, so far so good"
    raise gr.Error("not any more")


def monitor(sensor):
    for step in counted(steps["of a monitor"]):
        yield f"{sensor} {step}"


def interactive(data):
    """Answers, and from the third time on does not come to an end."""
    yield f"answer {data['counter']}"
    if data["counter"] >= 2:
        for step in counted(ENDLESS):
            yield f"after answer {data['counter']}: {step}"


def counted(number):
    for step in range(int(number)):
        steps["taken"] += 1
        yield step
        time.sleep(STEP)


# What the tests ask, beside the queue.


def monitor_for(number):
    steps["of a monitor"] = number
    return number


def state():
    """How many jobs wait or are at work, and how many steps were taken in all."""
    queue = demo._queue
    waiting = queue.event_queue if hasattr(queue, "event_queue") else queue
    working = [events for events in queue.active_jobs if events]
    return len(waiting) + len(working), steps["taken"]


with gr.Blocks() as demo:
    text, told, answer = gr.Textbox(), gr.Textbox(), gr.JSON()
    jobs, taken = gr.Number(), gr.Number()

    def endpoint(function, inputs, outputs, api_name="", **options):
        name = api_name or function.__name__
        gr.Button(name).click(function, inputs, outputs, api_name=name, **options)

    for name in ("chat", "sse_endpoint", "ws_endpoint", "async_stream"):
        endpoint(chat, [text], [told], name)
    endpoint(process, [text], [told])
    endpoint(queue_process, [text], [told])
    endpoint(stream, [text], [told])
    endpoint(monitor, [text], [told])
    endpoint(interactive, [answer], [told])
    endpoint(monitor_for, [taken], [taken], queue=False)
    endpoint(state, [], [jobs, taken], queue=False)

demo.queue().launch(server_name="127.0.0.1", server_port=int(sys.argv[1]))
