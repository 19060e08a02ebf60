"""The place in the queue while waiting.  python queue_position.py URL"""

import sys

from sansio_gradio_adapters.sockets import Client

client = Client(sys.argv[1])
for update in client.stream_messages("batch_job", api_name="/queue_process"):
    if isinstance(update, dict):
        rank = update.get("rank")
        eta = update.get("rank_eta")
        queue_size = update.get("queue_size")
        if rank is not None:
            print(f"Queue position: {rank}/{queue_size}")
            if eta:
                print(f"Estimated wait time: {eta:.1f} seconds")
        if update.get("success") is not None:
            if update["success"]:
                result = update.get("output")
                print(f"Job completed: {result}")
            break
