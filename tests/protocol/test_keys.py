"""A row of the tables gives the value of its key, if it has the right type."""

from __future__ import annotations

from typing import Any

import pytest

from sansio_gradio.protocol.keys import MESSAGE_KEYS, ConfigKeys, FunctionKeys, Key, keys_of


@pytest.mark.parametrize(
    ("key", "value", "found"),
    [
        (ConfigKeys.version, "4.0", "4.0"),
        (ConfigKeys.version, None, None),
        (ConfigKeys.version, 4, None),
        (ConfigKeys.app_id, 2**63, 2**63),
        (ConfigKeys.app_id, True, None),
        (ConfigKeys.connect_heartbeat, 1, None),
        (FunctionKeys.time_limit, 30, 30),
        (FunctionKeys.time_limit, 0.5, 0.5),
        (FunctionKeys.time_limit, False, None),
        (FunctionKeys.api_name, False, None),
        (FunctionKeys.inputs, [1], [1]),
        (FunctionKeys.inputs, {}, None),
    ],
)
def test_a_value_of_another_type_counts_as_absent(key: Key[Any], value: Any, found: Any) -> None:
    assert key.of({key.name: value}) == found
    assert key.of({}) is None


@pytest.mark.parametrize("part", [None, [], "version", 5])
def test_what_is_no_object_has_no_keys(part: Any) -> None:
    assert ConfigKeys.version.of(part) is None


def test_readers_take_null_for_absent_but_for_texts_that_must_be() -> None:
    kinds = {name: key.kinds for name, key in MESSAGE_KEYS.items()}
    assert kinds["queue_size"] == {int, type(None)}
    assert kinds["eta"] == {int, float, type(None)}
    assert kinds["log"] == {str}
    assert kinds["title"] == {str, type(None)}
    assert FunctionKeys.api_name.kinds == {str, bool, type(None)}


def test_the_rows_are_named_as_their_keys() -> None:
    assert [key.name for key in keys_of(ConfigKeys)][:2] == ["version", "protocol"]
    assert all(getattr(FunctionKeys, key.name) is key for key in keys_of(FunctionKeys))
