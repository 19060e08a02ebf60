"""A client that tells what it gets as JSON lines, for ``conform client``:

    python -m sansio_gradio_adapters conform client --can cancel,status,jobs \\
        -- python examples/json_lines.py {url} {api} {data} {jobs}
"""

from __future__ import annotations

import json
import sys
from typing import Any

from sansio_gradio import GradioError, JobCancelledError
from sansio_gradio_adapters.sockets import Client, Job


def tell(**line: Any) -> None:
    print(json.dumps(line), flush=True)


def values(result: Any, job: Job) -> list[Any]:
    """All results in a list: one is given as it is, several as a tuple."""
    return list(result) if isinstance(result, tuple) else [result]


def follow(job: Job) -> None:
    """Tell all that comes of one job."""
    told = 0
    for update in job.updates():
        if isinstance(update, dict):
            tell(status=update)
        while told < len(job.outputs()):
            tell(output=values(job.outputs()[told], job))
            told += 1
    tell(result=values(job.result(), job))


def main(url: str, api: str, data: str, jobs: str = "[]") -> None:
    job = None
    try:
        with Client(url) as client:
            if json.loads(jobs):
                started = [client.submit(*args, api_name=name) for name, args in json.loads(jobs)]
                tell(result=[values(one.result(), one) for one in started])
                return
            job = client.submit(*json.loads(data), api_name=api)
            try:
                follow(job)
            except KeyboardInterrupt:
                job.cancel()
                tell(cancelled=True)
    except JobCancelledError:
        tell(cancelled=True)
    except GradioError as error:
        tell(error=str(error))


if __name__ == "__main__":
    main(*sys.argv[1:])
