#!/usr/bin/env python3
"""Call apps from the workers of a dask cluster: needs ``pip install distributed``.

    python examples/dask_map.py --inputs 2000 http://127.0.0.1:7860 [MORE APPS]

Each app has an endpoint that takes a number (``--endpoint``, ``/double``). Results come in order.
The app with the fewest calls under way gets the next inputs; a call that an app loses is made by
another; the inputs of a worker that dies go to another. The caller holds a few hundred inputs and
results at a time, however many there are. ``--scheduler ADDRESS``: a cluster that you have; without
it one starts here, with ``--workers`` processes.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from importlib import import_module
from typing import Any

from sansio_gradio_adapters.processes import map_in_processes

distributed: Any = import_module("distributed")  # which has no types


def dask_map(
    dask: Any, apps: Sequence[str], inputs: Iterable[Any], api_name: str, in_flight: int = 8
) -> Iterator[Any]:
    """The results, in order; an input that failed everywhere gives its error."""
    workers = len(dask.scheduler_info(n_workers=-1)["workers"])
    executor = dask.get_executor(pure=False)  # each call counts, also with equal inputs
    with map_in_processes(
        apps,
        inputs,
        api_name,
        executor=executor,
        processes=max(1, workers),
        in_flight=in_flight,
        on_error="return",
    ) as results:
        yield from results


def shown(results: Iterable[Any], total: int) -> Iterator[Any]:
    """The same, with a bar of their progress."""
    began = shown_at = time.monotonic()
    for count, result in enumerate(results, 1):
        now = time.monotonic()
        if now - shown_at > 0.1 or count == total:
            shown_at = now
            bar = "#" * (40 * count // total)
            rate = count / max(now - began, 1e-9)
            print(f"\r[{bar:40}] {count}/{total}  {rate:.0f}/s", end="", file=sys.stderr)
        yield result
    print(file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Call apps from the workers of a dask cluster.")
    parser.add_argument("apps", nargs="+", metavar="URL")
    parser.add_argument("--inputs", type=int, default=2000)
    parser.add_argument("--endpoint", default="/double")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--scheduler")
    options = parser.parse_args(arguments)
    failed = total = 0
    with ExitStack() as stack:
        if (scheduler := options.scheduler) is None:
            cluster = distributed.LocalCluster(
                n_workers=options.workers, threads_per_worker=1, dashboard_address=None
            )
            scheduler = stack.enter_context(cluster)
        dask = stack.enter_context(distributed.Client(scheduler))
        results = dask_map(dask, options.apps, range(options.inputs), options.endpoint)
        for result in shown(results, options.inputs):
            if isinstance(result, Exception):
                failed += 1
            else:
                total += result
    print(f"{options.inputs - failed} results, their sum {total}; {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
