"""Generators that end in all ways, each value saying of which job: ``python leaving.py PORT``."""

import sys
import time

import gradio as gr


def yields(tag, steps, fails, pause):
    for step in range(int(steps)):
        time.sleep(pause)
        numbers = list(range(step + 1))
        yield f"{tag}: {numbers}", {"tag": tag, "numbers": numbers}
    if fails:
        raise gr.Error(f"{tag} failed")


def other_yields(tag, steps, fails, pause):
    yield from yields(tag, steps, fails, pause)


with gr.Blocks() as demo:
    inputs = [gr.Textbox(), gr.Number(), gr.Checkbox(), gr.Number()]
    outputs = [gr.Textbox(), gr.JSON()]
    for function in (yields, other_yields):
        gr.Button(function.__name__).click(
            function, inputs, outputs, api_name=function.__name__, concurrency_limit=4
        )

demo.queue().launch(server_name="127.0.0.1", server_port=int(sys.argv[1]))
