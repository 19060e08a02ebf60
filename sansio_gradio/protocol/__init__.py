"""The messages, requests and documents of Gradio, as values. No bytes."""
