"""The words of the blocking client: its verbs, and the objects that it hands out.

``reading``, ``jobs``, ``files`` and ``client`` are made from the modules of the same names in
``_awaited`` by ``python3 dev.py blocking``: change them there. ``of_threads`` and ``saving`` are
what only threads have.
"""
