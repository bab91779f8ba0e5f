"""Parsing of bodies: every kind of mistake has RapidJSON's message."""

import json
import math

import pytest

from serving.errors import ServingError
from serving.rest import json_text


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "The document is empty"),
        (b" \n", "The document is empty. at offset: 2"),
        (b"{", "Missing a name for object member. at offset: 1"),
        (b'{"a"}', "Missing a colon after a name of object member. at offset: 4"),
        (b'{"a": }', "Invalid value. at offset: 6"),
        (b'{"a": [1 2]}', "Missing a comma or a closing bracket after a value. at offset: 9"),
        (b'{"a": "x', "Missing a closing quotation mark in string. at offset: 6"),
        (b'{"a": "\n"}', "Invalid encoding in string. at offset: 7"),
        (b'{"a": "\\q"}', "Invalid escape character in string."),
        (b'{"a": "\\u12"}', "Incorrect hex digit after \\u escape in string."),
        (b'{"\xc3\xa9": 1} x', "followed by other values. at offset: 10"),
        (b'{"a": "\xff"}', "Invalid encoding in string. at offset: 7"),
        (b'{"a": ' + b"1" * 5000 + b"}", "Number too big to be stored in double."),
        (b'{"a": ' + b"[" * 100_000, "Values are nested too deeply."),
        (b'{"a": undefined}', "Invalid value. at offset: 6"),
    ],
)
def test_parse_names_the_mistake_and_its_byte(body, message):
    """The offset counts bytes, not characters."""
    with pytest.raises(ServingError) as caught:
        json_text.parse(body)
    assert caught.value.message.startswith("JSON Parse error: ")
    assert message in caught.value.message


def test_parse_takes_a_byte_order_mark_and_special_numbers():
    """Both are accepted by TensorFlow Serving though JSON has neither."""
    assert json_text.parse(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}
    special = json_text.parse(b'{"a": [NaN, Infinity, -Infinity]}')["a"]
    assert math.isnan(special[0])
    assert special[1:] == [math.inf, -math.inf]


def test_the_first_of_repeated_keys_counts():
    """As RapidJSON's FindMember; Python's own parser takes the last."""
    body = b'{"a": 1, "b": 2, "a": 3}'
    assert json.loads(body)["a"] == 3
    assert json_text.parse(body)["a"] == 1


def test_show_cuts_long_values():
    """An error must not send a whole body back."""
    shown = json_text.show(["x" * 10_000])
    assert len(shown) < 400
    assert shown.endswith("...")
