"""Rows of Arrow record batches as texts, one at a time: Parquet and Arrow files read through it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from llm_keras import config
from pipelines.sources import rows
from pipelines.sources.record import MAXIMUM_RECORD_BYTES, Text, Unreadable


class Failed(NamedTuple):
    """A part of a file could not be read; never what the library said, which may quote text."""

    error: str


def problem_of(schema: Any, fields: config.Columns) -> str:
    """What a table of this Arrow schema lacks to be a source of texts; empty if nothing."""
    import pyarrow as pa

    for name in (fields.text, *([fields.target] if fields.target else [])):
        column = _field(schema, name)
        if column is None:
            return f"expected a column {name!r}, found no such column"
        kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        if not (_is_text(kind) or pa.types.is_null(kind)):
            return f"expected strings in column {name!r}, found {_family(kind)}"
    return ""


def wanted(schema: Any, fields: config.Columns) -> list[str]:
    """The columns, or fields within columns, that are read of a table."""
    named = [name for name in fields.model_dump().values() if name]
    return [name for name in named if _field(schema, name) is not None]


def texts(
    batch: Any, first: int, fields: config.Columns, encoding: str
) -> Iterator[Text | Unreadable]:
    """Makes a text of each row of a record batch.

    Args:
        batch: The rows.
        first: Number of its first row in the file, from 1.
        fields: Which column is what.
        encoding: Of texts in columns of bytes.
    """
    names, columns = batch.schema.names, batch.columns
    for index in range(batch.num_rows):
        row = {}
        too_long = False
        for name, column in zip(names, columns, strict=True):
            value = _value(column[index])
            too_long |= value is _TOO_LONG and name in (fields.text, fields.target)
            row[name] = None if value is _TOO_LONG else value
        if too_long:
            found: Text | Unreadable = Unreadable(f"longer than {MAXIMUM_RECORD_BYTES} bytes")
        else:
            found = rows.to_text(row, fields, encoding)
        if isinstance(found, Unreadable):
            found = found._replace(name=f"row {first + index}")
        yield found


_TOO_LONG = object()


def _value(scalar: Any) -> Any:
    """A cell as Python has it; bytes where a string is no UTF-8, None where nothing fits."""
    scalar = getattr(scalar, "value", scalar) if hasattr(scalar, "dictionary") else scalar
    data = scalar.as_buffer() if hasattr(scalar, "as_buffer") else None
    if data is not None and data.size > MAXIMUM_RECORD_BYTES:
        return _TOO_LONG
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        return data.to_pybytes() if data is not None else None
    except (ValueError, OverflowError, LookupError):  # a moment that Python has no date for
        return None


def _field(schema: Any, path: str) -> Any:
    """The Arrow field at a path such as `meta.set.name`; None if there is none."""
    import pyarrow as pa

    if schema.get_field_index(path) >= 0:
        return schema.field(path)
    head, *rest = path.split(".")
    if schema.get_field_index(head) < 0:
        return None
    field = schema.field(head)
    for name in rest:
        if not pa.types.is_struct(field.type) or field.type.get_field_index(name) < 0:
            return None
        field = field.type.field(name)
    return field


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    tests = ("string", "large_string", "string_view", "binary", "large_binary", "binary_view")
    return any(getattr(pa.types, f"is_{test}")(kind) for test in tests)


def _family(kind: Any) -> str:
    """The name of a type without its parameters, which a file can fill with anything."""
    return str(kind).partition("<")[0].partition("[")[0][:40]
