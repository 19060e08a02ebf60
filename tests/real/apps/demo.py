"""The app of ``examples/demo.py`` as a Gradio app: ``python demo.py PORT``, Gradio 3.16 to 6."""

import sys
import time

import gradio as gr


def bake(loaves, progress=gr.Progress()):  # noqa: B008 (this is how Gradio asks for it)
    for _ in progress.tqdm(range(int(loaves)), desc="baking", unit="loaves"):
        time.sleep(0.04)
    return f"{int(loaves)} loaves of bread"


def write(text):
    words = text.split(" ")
    for end in range(len(words)):
        time.sleep(0.04)
        yield " ".join(words[: end + 1])


def share(loaves, people):
    if people == 0:
        raise gr.Error("There is nobody to eat the bread.")
    return loaves / people


with gr.Blocks() as demo:
    loaves, people, shared = gr.Number(label="loaves"), gr.Number(label="people"), gr.Number()
    text, written = gr.Textbox(label="text"), gr.Textbox()
    gr.Button("Bake").click(bake, [loaves], [written], api_name="bake")
    gr.Button("Write").click(write, [text], [written], api_name="write")
    gr.Button("Share").click(share, [loaves, people], [shared], api_name="share")

demo.queue().launch(server_name="127.0.0.1", server_port=int(sys.argv[1]))
