"""Request bodies to Python values, as strictly as RapidJSON, and values back to text for errors."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from serving.errors import invalid

#: What Python's parser calls a mistake -> what TensorFlow Serving calls it.
_MESSAGES = {
    "Expecting value": "Invalid value.",
    "Extra data": "The document root must not be followed by other values.",
    "Expecting property name enclosed in double quotes": "Missing a name for object member.",
    "Illegal trailing comma before end of object": "Missing a name for object member.",
    "Illegal trailing comma before end of array": "Invalid value.",
    "Expecting ':' delimiter": "Missing a colon after a name of object member.",
    "Expecting ',' delimiter": "Missing a comma or a closing bracket after a value.",
    "Unterminated string starting at": "Missing a closing quotation mark in string.",
    "Invalid control character at": "Invalid encoding in string.",
    "Invalid \\escape": "Invalid escape character in string.",
    "Invalid \\uXXXX escape": "Incorrect hex digit after \\u escape in string.",
}
#: Values are quoted in error messages up to this length.
_SHOWN_CHARACTERS = 300
_TYPES = {
    type(None): "Null",
    dict: "Object",
    list: "Array",
    str: "String",
    int: "Number",
    float: "Number",
}


def parse(body: bytes) -> dict[str, Any]:
    """Parses a request body; NaN, Infinity and -Infinity are numbers.

    Of repeated keys the first counts, as with RapidJSON. Differs from TensorFlow Serving: text that
    is not UTF-8 is refused, not passed on.

    Raises:
        ServingError: INVALID_ARGUMENT; not JSON, or not an object.
    """
    if not body:
        raise invalid("JSON Parse error: The document is empty")
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise invalid(
            f"JSON Parse error: Invalid encoding in string. at offset: {error.start}"
        ) from None
    if not text.strip(" \t\r\n"):
        raise invalid(f"JSON Parse error: The document is empty. at offset: {len(body)}")
    document = _parse(text)
    if not isinstance(document, dict):
        raise invalid(f"JSON Value: {show(document)} Is not object")
    return document


def _parse(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_first_of_each)
    except json.JSONDecodeError as error:
        _refuse(_MESSAGES.get(error.msg, error.msg), text, error.pos)
    except RecursionError:
        raise invalid("JSON Parse error: Values are nested too deeply.") from None
    except ValueError:  # an integer of thousands of digits
        raise invalid("JSON Parse error: Number too big to be stored in double.") from None


def _refuse(problem: str, text: str, position: int) -> NoReturn:
    offset = len(text[:position].encode())
    raise invalid(f"JSON Parse error: {problem} at offset: {offset}") from None


def _first_of_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    return values if len(values) == len(pairs) else dict(reversed(pairs))


def type_name(value: Any) -> str:
    """RapidJSON's name for the type of a value: booleans are named by their value."""
    return str(value) if isinstance(value, bool) else _TYPES[type(value)]


def show(value: Any) -> str:
    """A value as text for an error message: cut if it is long.

    Example:
    >>> show({"x": [1, float("nan")]})
    '{"x": [1, NaN]}'
    """
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (RecursionError, ValueError):
        return f"({type_name(value)})"
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."
