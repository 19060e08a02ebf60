"""Which protocol is spoken is found out by itself.  python protocols.py URL"""

import sys

from sansio_gradio_adapters.sockets import Client

client = Client(sys.argv[1])
print(f"Using protocol: {client.protocol}")
if client.protocol.startswith("sse"):
    for event in client.stream_messages("data", api_name="/sse_endpoint"):
        print(f"SSE Event: {event}")
elif client.protocol == "ws":
    for message in client.stream_messages("data", api_name="/ws_endpoint"):
        print(f"WS Message: {message}")
