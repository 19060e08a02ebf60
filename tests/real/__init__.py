"""Tests against real Gradio servers: ``python3 dev.py test-real [VERSION ...]``."""
