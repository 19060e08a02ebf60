"""The words of clients with ``await``: the verbs of a client, and the objects that it hands out.

``reading``, ``jobs``, ``files`` and ``client`` are the one text for all worlds: ``python3 dev.py
blocking`` makes the modules of the same names in ``_blocking`` of them. ``of_tasks`` and ``saving``
are what only tasks have.
"""
