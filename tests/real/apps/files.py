"""The components that take and give files, on Gradio 3.1 to 6. ``special.py`` offers them.

Each endpoint gives back what its function has got. ``/digest`` says what the function has seen.
"""

import hashlib
import inspect
import os
import shutil

import gradio as gr

VERSION = tuple(int(part) for part in gr.__version__.split(".")[:2])


if VERSION < (4, 16) and shutil.which("ffprobe") is None:
    # These versions measure every video. A program that knows nothing of it says one second.
    FOLDER = os.path.join(os.getcwd(), "bin")
    PROGRAM = os.path.join(FOLDER, "ffprobe")
    os.makedirs(FOLDER, exist_ok=True)
    with open(PROGRAM, "w") as script:
        script.write(
            '#!/bin/sh\ncase "$*" in *json*) echo \'{"streams": []}\';; *) echo 1.0;; esac\n'
        )
    os.chmod(PROGRAM, 0o755)
    os.environ["PATH"] = FOLDER + os.pathsep + os.environ.get("PATH", "")


def made(name, **options):
    """A component, with those of the options that this version knows; None if there is none."""
    kind = getattr(gr, name, None)
    if kind is None:
        return None
    known = inspect.signature(kind.__init__).parameters
    return kind(**{key: value for key, value in options.items() if key in known})


def path_of(given):
    """The path of a file; before 4.0 functions get an open file."""
    if isinstance(given, (list, tuple)):
        return [path_of(one) for one in given]
    return given if given is None or isinstance(given, str) else given.name


def digest(given):
    path = path_of(given)
    with open(path, "rb") as file:
        content = file.read()
    return f"{os.path.basename(path)} {len(content)} {hashlib.sha1(content).hexdigest()}"


def pictures(items):
    """The items of a gallery; 4.4 hands over the payload instead."""
    items = getattr(items, "root", items)
    return [(one.image.path, one.caption) if hasattr(one, "image") else tuple(one) for one in items]


def offer(endpoint):
    """Add the endpoints, each for as many versions as have its component."""
    text = gr.Textbox(label="digest")

    def echo(api_name, component, function=path_of):
        # The same function gets and gives: what goes in comes out.
        if component is not None:
            endpoint(function, [component], [component], api_name)

    endpoint(digest, [made("File")], [text], "digest")
    echo("file", made("File"))
    echo("files", made("File", file_count="multiple"))
    echo("image", made("Image", type="filepath"))
    echo("audio", made("Audio", type="filepath"))
    echo("video", made("Video"))
    echo("model3d", made("Model3D"))
    button = made("UploadButton")
    if VERSION >= (4, 0):
        echo("upload_button", button)
    elif button is not None:  # which gives the bare path of a server's file
        endpoint(path_of, [button], [made("File")], "upload_button")
    echo("download_button", made("DownloadButton"))
    echo("multimodal", made("MultimodalTextbox"), lambda said: said)
    echo("slider", made("ImageSlider", type="filepath"), lambda pair: pair)
    if VERSION >= (4, 0):
        echo("gallery", made("Gallery", type="filepath"), pictures)
        editor = made("ImageEditor", type="filepath")
        echo("editor", editor, lambda drawn: drawn)

    if VERSION >= (3, 40):

        def subtitled(video):
            subtitles = os.path.join(os.getcwd(), "words.vtt")
            with open(subtitles, "w") as file:
                file.write("WEBVTT\n\n00:00.000 --> 00:01.000\nhi\n")
            return video, subtitles

        shown, given = made("Video"), made("Video")
        endpoint(subtitled, [given], [shown], "subtitled")

        def annotate(image):
            return image, [((0, 0, 2, 2), "corner")]

        picture = made("Image", type="filepath")
        endpoint(annotate, [picture], [made("AnnotatedImage")], "annotate")

        if VERSION < (4, 0):
            album = made("Gallery")
            endpoint(lambda image: [image, (image, "again")], [picture], [album], "album")

    chat = made("Chatbot", type="messages")

    def send_file(image):
        if VERSION >= (6, 0) or getattr(chat, "type", None) == "messages":
            return [{"role": "assistant", "content": {"path": image}}]
        return [["look", (image,)]]

    if VERSION >= (3, 30):
        endpoint(send_file, [made("Image", type="filepath")], [chat], "chat")
