"""How much of a model one device holds, when a step is spread over several."""

from __future__ import annotations

from llm_keras import config
from llm_keras.accounting.weights import Weights

#: Parts whose matrices a mesh cuts over `model`: by heads, inner width and vocabulary. The rest is
#: whole on every device; see `parallel.layout_tables`, which this package cannot import.
CUT = (
    "token_embedding",
    "attention",
    "cross_attention",
    "feed_forward",
    "output_projection",
)


def weights_share(each: Weights, parallelism: config.Parallelism) -> float:
    """The part of weights that a device holds between two steps, in (0, 1].

    Stages are taken as equal: `llm-keras train` prints the cut that it makes, which is only as even
    as the model's parts allow.
    """
    share = _computed_share(each, parallelism)
    return share / parallelism.data if parallelism.shard_weights == "all" else share


def slots_share(each: Weights, parallelism: config.Parallelism) -> float:
    """The same of what an optimizer keeps of these weights."""
    share = _computed_share(each, parallelism)
    return share if parallelism.shard_weights == "none" else share / parallelism.data


def _computed_share(each: Weights, parallelism: config.Parallelism) -> float:
    """The part of weights that a device computes with, in a step."""
    is_cut = each.part in CUT and len(each.shape) > 1
    return 1 / (parallelism.stage * (parallelism.model if is_cut else 1))
