"""An app whose functions are in the order that ORDER says: ``python turning.py PORT``.

Environment: ORDER is names with commas between them (of read, delete, added, count, slow), RAN a
file that gets a line for each function that is called, AUTH=1 wants user "user" with password
"secret".
"""

import inspect
import os
import sys
import time

import gradio as gr


def accepted(function, **options):
    """Those of the options that this version's function knows."""
    known = inspect.signature(function).parameters
    return {name: value for name, value in options.items() if name in known}


def noted(name):
    with open(os.environ["RAN"], "a") as ran:
        ran.write(name + "\n")


def made(name):
    def call(text):
        noted(name)
        return name + " " + text

    def count(text):
        noted(name)
        yield text + " 1"
        yield text + " 2"

    def slow(text):
        noted(name)
        for step in range(600):
            time.sleep(0.1)
            yield f"{text} {step}"

    return {"count": count, "slow": slow}.get(name, call)


with gr.Blocks() as demo:
    text, result = gr.Textbox(label="text"), gr.Textbox(label="result")
    for name in os.environ["ORDER"].split(","):
        gr.Button(name).click(made(name), text, result, api_name=name)

options = {"auth": ("user", "secret")} if os.environ.get("AUTH") else {}
demo.queue(**accepted(demo.queue, api_open=True)).launch(
    server_name="127.0.0.1", server_port=int(sys.argv[1]), **options
)
