"""gradio_client as JSON lines for ``conform client``: ``python json_lines.py {url} {api} {data}
{jobs}``. With ``--own-sessions`` in front each job gets a session of its own, by ``reset_session``.

It runs in an environment of its own, with one release of gradio_client and nothing of ours.
"""

import concurrent.futures
import json
import os
import signal
import sys
import threading
import time

from gradio_client import Client

OWN_SESSIONS = sys.argv[1] == "--own-sessions"
interrupted = threading.Event()


def tell(**line):
    print(json.dumps(line, default=str), flush=True)


def listed(value, count):
    """All results: one is given as it is, several as a tuple."""
    return list(value) if count != 1 and isinstance(value, (list, tuple)) else [value]


def shape_of(client, api):
    """Whether the function yields, and how many results its callers see."""
    hidden = {part["id"] for part in client.config["components"] if part.get("skip_api")}
    for dependency in client.config["dependencies"]:
        if dependency["api_name"] == api.strip("/"):
            seen = [part for part in dependency["outputs"] if part not in hidden]
            return bool((dependency.get("types") or {}).get("generator")), len(seen)
    return False, 1


def follow(client, api, data):
    yields, count = shape_of(client, api)
    job = client.submit(*data, api_name=api)
    told, last, was_cancelled = 0, None, False
    while True:
        is_over = job.done()
        status = job.status()
        if status != last:
            last = status
            tell(
                status={
                    "code": status.code.value,
                    "log": status.log,
                    "progress": str(status.progress_data),
                }
            )
        outputs = job.outputs()
        while yields and told < len(outputs):
            tell(output=listed(outputs[told], count))
            told += 1
        if is_over:
            break
        if interrupted.is_set() and not was_cancelled:
            was_cancelled = True
            job.cancel()
        time.sleep(0.005)
    try:
        result = job.result()
    except concurrent.futures.CancelledError as error:
        tell(**({"cancelled": True} if was_cancelled else {"error": str(error)}))
    else:
        tell(result=listed(result, count))


def main(url, api, data, jobs):
    signal.signal(signal.SIGINT, lambda *_: interrupted.set())
    client = Client(url, verbose=False, download_files=False)
    calls = json.loads(jobs)
    if not calls:
        follow(client, api, json.loads(data))
        return
    started = []
    for name, args in calls:
        if OWN_SESSIONS:
            client.reset_session()
        started.append((client.submit(*args, api_name=name), shape_of(client, name)[1]))
        time.sleep(0.2)
    tell(result=[listed(job.result(), count) for job, count in started])


if __name__ == "__main__":
    try:
        main(*sys.argv[1 + OWN_SESSIONS :])
    except BaseException as error:  # whatever it raises is its answer
        tell(error=str(error))
    os._exit(0)  # its threads would keep the process
