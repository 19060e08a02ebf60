"""An app that refuses, mounted at ``/app``: ``python guarded.py PORT``.

GUARD: ``dependency`` (a login of the program around it), ``message`` (Gradio's own, with a
message), or nothing. Its validators raise, where the version has any.
"""

import inspect
import os
import sys

import gradio as gr
import uvicorn
from fastapi import FastAPI
from fastapi.responses import RedirectResponse


def refuse_as_app(text):
    raise gr.Error("it's refused: " + text)


def refuse(text):
    raise ValueError("refused: " + text)


with gr.Blocks() as demo:
    text = gr.Textbox(label="text")
    known = inspect.signature(gr.Button("").click).parameters
    validators = {"refused_as_app": refuse_as_app, "refused": refuse}
    for name, validator in validators.items():
        more = {"validator": validator} if "validator" in known else {}
        gr.Button(name).click(lambda x: x, [text], [text], api_name=name, **more)
    gr.Button("echo").click(lambda x: x, [text], [text], api_name="echo", queue=False)
    hidden = {"api_visibility": "private"} if "api_visibility" in known else {"api_name": False}
    gr.Button("hidden").click(lambda x: x, [text], [text], **hidden)

guards = {
    "dependency": {"auth_dependency": lambda request: None},
    "message": {"auth": ("user", "secret"), "auth_message": "Members only"},
}
root = FastAPI()
root = gr.mount_gradio_app(root, demo, path="/app", **guards.get(os.environ.get("GUARD"), {}))


@root.get("/")
def page():
    return RedirectResponse("/app")


uvicorn.run(root, host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
