"""A job of the blocking client in a coroutine: it wakes the loop.  python asynchronous.py URL"""

import asyncio
import sys

from sansio_gradio_adapters.sockets import Client


async def async_stream_handler():
    client = Client(sys.argv[1])
    job = client.submit("async_data", api_name="/async_stream")
    if hasattr(job, "__aiter__"):
        async for update in job:
            print(f"Async update: {update}")
            await asyncio.sleep(0.1)  # Non-blocking wait
    else:
        for update in job:
            print(f"Sync update: {update}")
    return job.result()


result = asyncio.run(async_stream_handler())
print(f"Result: {result}")
