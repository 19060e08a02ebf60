"""What Gradio says. Knows no bytes."""
