"""How often each source is trained on, so that its share of the tokens is the one asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llm_keras import config


def describe(run: config.Run, curation: Mapping[str, Any]) -> dict[str, Any]:
    """The mixture of a curation, for curation.json; empty where none is asked for."""
    settings = run.corpus.mixture
    if settings is None:
        return {}
    there = {
        name: counts["bytes_kept_for_training"] for name, counts in curation["sources"].items()
    }
    weights = {source.name: source.weight for source in run.corpus.sources}
    asked = shares(there, weights, settings.temperature)
    return {"mixture": mixture(there, asked, settings.maximum_epochs)}


def shares(
    there: Mapping[str, int], weights: Mapping[str, float | None], temperature: float
) -> dict[str, float]:
    """The share of each source: by weight where any is given, else by what is there.

    Sources without a weight, where others have one, have what is there, as if 1 were all of it.

    >>> shares({"a": 900, "b": 100}, {"a": None, "b": None}, temperature=2.0)
    {'a': 0.75, 'b': 0.25}
    """
    total = sum(there.values()) or 1
    if any(weight is not None for weight in weights.values()):
        given = {
            name: size / total if (weight := weights[name]) is None else weight
            for name, size in there.items()
        }
    else:
        given = {name: (size / total) ** (1 / temperature) for name, size in there.items()}
    whole = sum(given.values()) or 1
    return {name: value / whole for name, value in given.items()}


def mixture(
    there: Mapping[str, int], asked: Mapping[str, float], maximum_epochs: float
) -> dict[str, dict[str, float]]:
    """How often each source is read, and the share that comes of it.

    As much is read as the corpus holds. A source that would be read more than `maximum_epochs`
    times is read so often and no more: it falls short of its share, and the others take up the rest
    in the relation that was asked for.

    >>> mixture({"a": 900, "b": 100}, {"a": 0.5, "b": 0.5}, maximum_epochs=4.0)["b"]
    {'epochs': 4.0, 'asked': 0.5, 'share': 0.4}
    >>> mixture({"a": 500, "b": 500}, {"a": 0.2, "b": 0.8}, maximum_epochs=4.0)["a"]
    {'epochs': 0.4, 'asked': 0.2, 'share': 0.2}
    """
    total = sum(there.values())
    epochs = dict.fromkeys(there, 0.0)
    open_ = {name for name, share in asked.items() if share and there[name]}
    left = float(total)
    while open_:
        shares_left = sum(asked[name] for name in open_)
        for name in open_:
            epochs[name] = asked[name] / shares_left * left / there[name]
        full = {name for name in open_ if epochs[name] > maximum_epochs}
        if not full:
            break
        for name in full:
            epochs[name] = maximum_epochs
            left -= maximum_epochs * there[name]
        open_ -= full
    read = {name: epochs[name] * size for name, size in there.items()}
    whole = sum(read.values()) or 1
    return {
        name: {
            "epochs": round(epochs[name], 6),
            "asked": round(asked[name], 6),
            "share": round(read[name] / whole, 6),
        }
        for name in there
    }
