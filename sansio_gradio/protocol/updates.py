"""Items of results that say how a component changes, and are no values: ``gr.update(...)``.

Rule R-data-5 of docs/protocol/sse_v3.md.
"""

from __future__ import annotations

from typing import Any

from sansio_gradio.protocol.fields import said


def apply_update(value: Any, item: Any) -> Any:
    """Return the value of a component that had *value* before, after *item* of a result.

    An app can return ``gr.update(...)``, which arrives as ``{"__type__": "update", ...}`` with the
    properties that change. If one of them is ``value``, that is the new value; if not, the old one
    stays. Any other item is the new value itself.
    """
    if said(item, "__type__", str) != "update":
        return item
    return item.get("value", value)
