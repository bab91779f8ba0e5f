"""Counts that add up from every worker, and the check that nothing was lost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from llm_keras.errors import LLMKerasError

#: A tree of names with whole numbers (or fixed strings) as leaves.
Counts = dict[str, Any]


class CountError(LLMKerasError):
    """The pipeline lost or invented documents: a defect of the pipeline, not of its input."""


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


def check_balance(sources: Mapping[str, Mapping[str, Any]]) -> None:
    """Checks in = kept + dropped + dead for every source.

    Raises:
        CountError: With the figures of the first source that does not balance.
    """
    for name, counts in sources.items():
        dropped = sum(counts["dropped"].values())
        if counts["in"] != counts["kept"] + dropped + counts["dead"]:
            raise CountError(
                f"corpus source {name}: {counts['in']} in, but {counts['kept']} kept + {dropped}"
                f" dropped + {counts['dead']} dead; the pipeline is at fault, not the corpus"
            )
