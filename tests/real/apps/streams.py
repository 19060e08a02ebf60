"""An audio that is made while it is heard, a second with each yield. It needs ffmpeg."""

import io
import sys
import time
import wave

import gradio as gr


def second(pitch):
    with io.BytesIO() as file:
        with wave.open(file, "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(8000)
            sound.writeframes(bytes(pitch * place % 256 for place in range(16000)))
        return file.getvalue()


def tones(count):
    for pitch in range(int(count)):
        yield second(pitch)
        time.sleep(0.2)


with gr.Blocks() as demo:
    number, sound = gr.Number(), gr.Audio(streaming=True, autoplay=True)
    gr.Button().click(tones, [number], [sound], api_name="tones")

demo.queue()
demo.launch(server_name="127.0.0.1", server_port=int(sys.argv[1]))
