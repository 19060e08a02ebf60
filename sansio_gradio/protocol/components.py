"""The components of an app, such as text boxes, as ``/config`` lists them."""

from __future__ import annotations

from typing import Any, Final

import attrs

from sansio_gradio.errors import RemoteProtocolError
from sansio_gradio.protocol.fields import said, said_id
from sansio_gradio.protocol.keys import ComponentKeys
from sansio_gradio.wire.json import JSON

_STATE: Final = frozenset({"state", "variable"})  # it was called variable up to 3.1

# Servers before 4.0 do not tell which components callers leave out. These are the ones that they
# leave out of /info (gradio_client@0.6.1 utils.py: SKIP_COMPONENTS).
_LAYOUT = "row column tabs tab tabitem box form accordion group interpretation dataset"
_SKIPPED: Final = _STATE.union(_LAYOUT.split())

# The values of these are texts, numbers and objects, never lists.
_TEXTS = "textbox text markdown html code radio colorpicker datetime"
_NO_TEXTS = "number slider checkbox label image audio video plot"
_NEVER_A_LIST: Final = frozenset(_TEXTS.split() + _NO_TEXTS.split())


@attrs.frozen(kw_only=True)
class Component:
    """A component of the app, such as a text box or a State."""

    id: int
    type: str
    """In lower case: ``textbox``, ``state``."""
    props: dict[str, Any]
    """The properties, as the app set them."""
    skip_api: bool
    """Callers neither send nor get its value: State, buttons, layout."""

    @property
    def is_state(self) -> bool:
        return self.type in _STATE

    @property
    def may_be_list(self) -> bool:
        """Whether a value of it may be a list, as far as is known. Of State there is none."""
        return not self.is_state and self.type not in _NEVER_A_LIST

    @property
    def label(self) -> str | None:
        """The label that users see."""
        return said(self.props, "label", str)

    @classmethod
    def read(cls, part: JSON) -> Component:
        """Read an item of ``config["components"]``.

        Raises:
            RemoteProtocolError: it has no integer ``id`` or no ``type``.
        """
        number, kind = said_id(part, ComponentKeys.id.name), ComponentKeys.type.of(part)
        if number is None or kind is None:
            raise RemoteProtocolError("A component in the config has no id or no type.")
        skip_api = ComponentKeys.skip_api.of(part)
        return cls(
            id=number,
            type=kind,
            props=ComponentKeys.props.of(part) or {},
            skip_api=kind in _SKIPPED if skip_api is None else skip_api,
        )
