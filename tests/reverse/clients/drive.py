"""What gradio_client sees of a server: ``python drive.py URL SCENARIO...``, one JSON line for each.

It runs in an environment of its own, with one release of gradio_client from 0.6 on and nothing of
ours.
"""

import base64
import importlib
import json
import os
import sys
import threading
import time

import gradio_client
from gradio_client import Client

URL = sys.argv[1]
OLD = gradio_client.__version__.startswith("0.")
WAIT = 40.0  # seconds for one scenario


def connect(**options):
    known = {"verbose": False} if not OLD or "verbose" not in options else {}
    return Client(URL, **known, **options)


def fact_connect():
    return connect().src.rstrip("/") == URL.rstrip("/")


def fact_view_api():
    api = connect().view_api(return_format="dict", print_info=False)
    wanted = ("echo", "greet", "divide", "remember", "count", "upper_file")
    seen = {"returns of shrink": api["named_endpoints"]["/shrink"]["returns"][0]["component"]}
    for name in wanted:
        endpoint = api["named_endpoints"]["/" + name]
        seen[name] = [
            [
                [part["component"], None if part["component"] == "File" else part["type"]]
                for part in endpoint[side]
            ]
            for side in ("parameters", "returns")
        ]
    return seen


def fact_echo():
    client = connect()
    return [client.predict(text, api_name="/echo") for text in ("x", "", 'naïve 日本 \n\t"')]


def fact_a_megabyte():
    text = "ü" * 500_000
    return connect().predict(text, api_name="/echo") == text


def fact_several_results():
    return list(connect().predict(17, 5, api_name="/divide"))


def fact_defaults():
    client = connect()
    return [client.predict(api_name="/greet"), client.predict("Ann", api_name="/greet")]


def fact_growing_texts():
    job = connect().submit(50, api_name="/count")
    return [job.result(), job.outputs()]


def fact_shrinking_lists():
    result = connect().submit("z", api_name="/shrink").result()
    if isinstance(result, str):  # the oldest clients put it into a file
        with open(result) as file:
            return json.load(file)
    return result


def fact_progress():
    job = connect().submit(4, 5, api_name="/progress")
    seen = set()
    while not job.done():
        for unit in job.status().progress_data or ():
            seen.add((unit.desc, unit.length, unit.unit))
        time.sleep(0.01)
    return [sorted(map(str, seen)), job.result()]


def fact_logs():
    job = connect().submit("x", api_name="/log")
    seen = []
    while not job.done():
        seen.append(job.status())
        time.sleep(0.01)
    updates = getattr(job.communicator, "updates", None)
    if updates is not None:  # newer releases keep all that came
        seen = [updates.get_nowait() for _ in range(updates.qsize())]
    logs = [list(log) for log in (getattr(one, "log", None) for one in seen) if log]
    return [
        [log for place, log in enumerate(logs) if logs[place - 1 : place] != [log]],
        job.result(),
    ]


def fact_an_error_of_the_app():
    return failure(lambda: connect().predict("x", api_name="/fail"))


def fact_a_hidden_error():
    return failure(lambda: connect().predict("x", api_name="/fail_hidden"))


def fact_an_error_midway():
    job = connect().submit("x", api_name="/fail_midway")
    try:
        job.result()
    except Exception as error:
        return [said(error), job.outputs()]
    return "no error"


def fact_cancel():
    client = connect()
    job = client.submit(100, api_name="/slow")
    while not job.outputs():
        time.sleep(0.01)
    cancelled = job.cancel()
    other = connect()  # after a cancel some releases cannot call again
    until = time.time() + 10
    while other.predict(api_name="/slow_running") and time.time() < until:
        time.sleep(0.1)
    return [cancelled, other.predict(api_name="/slow_running")]


def fact_state():
    client = connect()
    return [client.predict(text, api_name="/remember") for text in "ab"] + [
        connect().predict("c", api_name="/remember")
    ]


def fact_un_queued():
    return connect().predict("x", api_name="/echo_unqueued")


def fact_files():
    path = os.path.join(os.getcwd(), "note.txt")
    with open(path, "w") as note:
        note.write("hello")
    wrap = getattr(gradio_client, "handle_file", None) or getattr(gradio_client, "file", None)
    result = connect().predict(wrap(path) if wrap else path, api_name="/upper_file")
    with open(result) as upper:
        return [upper.read(), os.path.basename(result)]


def fact_components():
    """Files of several components, through the endpoints of ``real/apps/files.py``."""
    made = {
        "note.txt": b"hello",
        "p.png": PNG,
        "s.wav": WAV,
        "v.mp4": b"\0\0\0 ftypisom" + bytes(100),
    }
    for name, content in made.items():
        with open(name, "wb") as file:
            file.write(content)
    client = connect()
    note, picture, sound, video = map(gradio_client.handle_file, made)
    return {
        name: shown(client.predict(argument, api_name="/" + name))
        for name, argument in {
            "file": note,
            "files": [note, picture],
            "image": picture,
            "audio": sound,
            "video": {"video": video},
            "model3d": note,
            "annotate": picture,
            "album": picture,
            "chat": picture,
        }.items()
    }


PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAEElEQVR4nGP4z8AA"
    "RAwQCgAf7gP9i18U1AAAAABJRU5ErkJggg=="
)
WAV = (
    b"RIFF$\x10\0\0WAVEfmt \x10\0\0\0\1\0\1\0@\x1f\0\0\x80>\0\0\2\0\x10\0data\0\x10\0\0"
    + b"\0\1" * 2048
)


def shown(value):
    """A result, with the beginning of each file in it."""
    if isinstance(value, str) and os.path.isfile(value):
        with open(value, "rb") as file:
            return [os.path.splitext(value)[1], file.read(4).decode("latin-1")]
    if isinstance(value, (list, tuple)):
        return [shown(item) for item in value]
    if isinstance(value, dict):
        return {key: shown(item) for key, item in value.items()}
    return value


def fact_twenty_jobs():
    client = connect()
    # Not quicker: most releases fail if a job ends before they have read that it was taken.
    jobs = [client.submit(str(n), 0.5, api_name="/shout") for n in range(20)]
    return [job.result() for job in jobs]


def fact_login():
    client = connect(auth=("user", "secret"))
    return [client.predict("x", api_name="/echo"), client.predict("x", api_name="/echo_unqueued")]


def fact_a_wrong_login():
    return failure(lambda: connect(auth=("user", "wrong")))


def fact_no_login():
    return failure(connect)


def fact_queue_full():
    client = connect()
    jobs = [client.submit(str(n), 1, api_name="/shout") for n in range(6)]
    results = []
    for job in jobs:
        try:
            results.append(job.result())
        except Exception as error:
            results.append(said(error))
    return sorted(set(results), key=str)[-1]


def failure(call):
    """In which words *call* fails, as it should."""
    try:
        call()
    except TypeError:
        raise  # it was not called as that release wants it
    except Exception as error:
        return said(error)
    return "no error"


def said(error):
    text = str(error)
    for word in (URL, URL.rstrip("/")):
        text = text.replace(word, "URL")
    return f"{type(error).__name__}: {text[:150]}"


def run(fact, told):
    try:
        told.append({"saw": fact()})
    except Exception as error:
        told.append({"error": said(error)})


def main():
    for name in sys.argv[2:]:
        told = []
        arguments = (globals()["fact_" + name], told)
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        thread.start()
        thread.join(WAIT)
        answer = told[0] if told else {"error": "it never ended"}
        print("@@" + json.dumps({"scenario": name, **answer}, default=str), flush=True)
    os._exit(0)  # jobs that never end have threads


importlib.import_module("gradio_client.client")
main()
