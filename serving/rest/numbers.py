"""Floating-point numbers as TensorFlow Serving writes them in JSON."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def format_floats(values: Array) -> list[str]:
    """Each value in six significant digits, or as many as it takes to read it back exactly.

    A whole number keeps a `.0`, so that a list does not mix integers and floats.

    Args:
        values: float32 or float64, one dimension.

    Example:
    >>> format_floats(np.array([9e6, 0.00003, 3, 0.1, 1 / 3, np.nan, -np.inf], np.float32))
    ['9e+06', '3e-05', '3.0', '0.1', '0.333333343', 'NaN', '-Infinity']
    """
    texts = [f"{value:g}" for value in values.tolist()]
    read_back = np.array([float(text) for text in texts], dtype=values.dtype)
    digits = 9 if values.dtype == np.float32 else 17
    for index in np.flatnonzero(read_back != values):  # NaN too: it differs from itself
        texts[index] = f"{values[index]:.{digits}g}"
    return [_dotted(text) for text in texts]


def _dotted(text: str) -> str:
    if "." in text or "e" in text:
        return text
    return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(text, f"{text}.0")
