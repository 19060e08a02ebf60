"""Keys that the app itself puts into its messages pass through.  python websocket.py URL"""

import sys

from sansio_gradio_adapters.sockets import Client

client = Client(sys.argv[1])
stream = client.stream_messages("sensor_data", api_name="/monitor")
try:
    for data_point in stream:
        if isinstance(data_point, dict):
            timestamp = data_point.get("timestamp")
            value = data_point.get("value")
            print(f"[{timestamp}] Sensor reading: {value}")
            if data_point.get("msg") == "stop":
                break
except KeyboardInterrupt:
    print("Streaming stopped by user")
