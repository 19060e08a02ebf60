"""Two kinds of trouble: the app said no, or the way to it broke.  python errors.py URL"""

import sys

from sansio_gradio import AppError
from sansio_gradio_adapters.sockets import Client

client = Client(sys.argv[1])
try:
    for message in client.stream_messages("test_input", api_name="/stream"):
        if isinstance(message, dict):
            if not message.get("success", True):
                error_msg = message.get("msg", "Unknown error")
                print(f"Stream error: {error_msg}")
                break
            if "output" in message:
                print(f"Output: {message['output']}")
except AppError as e:
    print(f"Application error during streaming: {e}")
except ConnectionError as e:
    print(f"Connection error: {e}")
