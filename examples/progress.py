"""Progress in real time; leaving the loop ends the job.  python progress.py URL"""

import sys

from sansio_gradio_adapters.sockets import Client

client = Client(sys.argv[1])
for update in client.stream_messages("large_dataset.csv", api_name="/process"):
    if isinstance(update, dict):
        if "progress_data" in update:
            progress = update["progress_data"]
            if progress:
                latest = progress[-1]
                print(f"Progress: {latest.get('progress', 0):.1%}")
        if update.get("success") is not None:
            if update["success"]:
                print("Processing completed successfully!")
                result = update.get("output")
                print(f"Final result: {result}")
            else:
                print("Processing failed!")
            break
