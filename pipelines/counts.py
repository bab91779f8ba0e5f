"""Counts that add up from every worker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

#: A tree of names with whole numbers, or fixed strings, as leaves.
Counts = dict[str, Any]


def merge(trees: Iterable[Mapping[str, Any]]) -> Counts:
    """Adds trees of counts, name by name; in any order the sum is the same.

    >>> merge([{"kept": 1, "dropped": {"short": 2}}, {"kept": 3, "dropped": {"long": 1}}])
    {'dropped': {'long': 1, 'short': 2}, 'kept': 4}
    """
    total: Counts = {}
    for tree in trees:
        for name, value in tree.items():
            if isinstance(value, Mapping):
                total[name] = merge((total.get(name, {}), value))
            elif isinstance(value, int):
                total[name] = total.get(name, 0) + value
            else:
                total[name] = value
    return dict(sorted(total.items()))
