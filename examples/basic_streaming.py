"""Every message of a job as it arrives.  python basic_streaming.py http://127.0.0.1:7860"""

import sys

from sansio_gradio_adapters.sockets import Client

client = Client(sys.argv[1])
for message in client.stream_messages("Hello, how are you?", api_name="/chat"):
    print(f"Received: {message}")
    if isinstance(message, dict) and message.get("msg"):
        print(f"Chat response: {message['msg']}")
