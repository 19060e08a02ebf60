"""What is not in every app, on Gradio 3.1 to 6: ``python special.py PORT``.

Functions past the queue, of several visibilities, told of an event, rendered at run time, on a
second page, of a component, and those with files (``files.py``). Where a version cannot, the
endpoint is not there. From 3.16 on it wants a login: user "user" with password "secret" (older ones
have no queue beside one); not with ``NO_LOGIN=1`` in its environment.
"""

import inspect
import os
import sys

import files
import gradio as gr

VERSION = tuple(int(part) for part in gr.__version__.split(".")[:2])


def accepted(function, **options):
    """Those of the options that this version's function knows."""
    known = inspect.signature(function).parameters
    return {name: value for name, value in options.items() if name in known}


def count(steps):
    for step in range(int(steps)):
        yield f"step {step}"


def fail(text):
    raise gr.Error("refused: " + text)


def remember(text, seen):
    seen = [*(seen or []), text]
    return ", ".join(seen), seen


def slow(steps):
    import time

    for step in range(int(steps)):
        time.sleep(0.1)
        yield f"slow {step}"


with gr.Blocks() as demo:
    State = getattr(gr, "State", None) or gr.Variable
    text, number, state = gr.Textbox(label="text"), gr.Number(value=2, label="number"), State([])
    click = inspect.signature(gr.Button("").click).parameters

    def endpoint(function, inputs, outputs, api_name, **options):
        known = {key: value for key, value in options.items() if key in click}
        return gr.Button(api_name).click(function, inputs, outputs, api_name=api_name, **known)

    endpoint(lambda x: x, [text], [text], "echo")
    endpoint(lambda x: x, [text], [text], "echo_unqueued", queue=False)
    endpoint(fail, [text], [text], "fail")
    endpoint(remember, [text, state], [text, state], "remember")
    if VERSION >= (3, 3):
        endpoint(count, [number], [text], "count")
        endpoint(slow, [number], [text], "slow")
        endpoint(count, [number], [text], "count_unqueued", queue=False)
    if VERSION >= (6, 0):
        endpoint(lambda: "hidden", [], [text], "hidden", api_visibility="undocumented")
        endpoint(lambda: "secret", [], [text], "secret", api_visibility="private")
    elif VERSION >= (4, 12):
        endpoint(lambda: "hidden", [], [text], "hidden", show_api=False)
        endpoint(lambda: "secret", [], [text], False)

    if hasattr(gr, "SelectData"):  # 3.21

        def selected(event: gr.SelectData):
            return f"{event.value} at {event.index}"

        text.select(selected, None, text, api_name="selected")
    if VERSION >= (4, 3):

        def triggered(event: gr.EventData):
            return event.target.elem_id

        first, second = gr.Button(elem_id="first"), gr.Button(elem_id="second")
        gr.on([first.click, second.click], triggered, None, text, api_name="triggered")
    if VERSION >= (4, 0):  # 3.47 has it, too, and does not say its id
        here = os.path.dirname(os.path.abspath(__file__))
        gr.FileExplorer(**accepted(gr.FileExplorer.__init__, root_dir=here, root=here))
    if hasattr(gr, "render"):  # 4.31

        @gr.render(inputs=[number])
        def boxes(how_many):
            for place in range(int(how_many)):
                box = gr.Textbox(label=f"box {place}")
                box.submit(
                    lambda said, place=place: f"{place}: {said}", box, box, api_name=f"box_{place}"
                )

    files.offer(endpoint)

if hasattr(demo, "route"):  # 5.20
    with demo.route("Second", "second"):
        there = gr.Textbox(label="there")
        gr.Button().click(lambda said: f"second: {said}", there, there, api_name="on_second")

launch = {"server_name": "127.0.0.1", "server_port": int(sys.argv[1])}
if VERSION < (3, 2):
    launch["enable_queue"] = True
else:
    demo.queue()
launch["show_error"] = os.environ.get("SHOW_ERROR") == "1"
if VERSION >= (3, 16) and not os.environ.get("NO_LOGIN"):
    launch["auth"] = ("user", "secret")
demo.launch(**accepted(demo.launch, **launch))
