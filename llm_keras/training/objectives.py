"""What each kind of model must predict from a batch.

Shapes: B rows, T+1 tokens a row, S tokens of a source, D hidden size, N predictions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from llm_keras.models.masking import Masking
from llm_keras.training.losses import predictions

Batch = dict[str, tf.Tensor]


class Examples(NamedTuple):
    """A batch as the network's inputs, and what it must predict from them.

    Attributes:
        inputs: What the network is called with.
        targets: int32 [N], the right tokens.
        weights: float32 [N], 1 for a prediction that counts, else 0.
        places: int32 [N], which of the B * T hidden states predicts each; None: all, in order.
        routed: float32 scalar, tokens that go through a layer, summed over layers; see `routed`.
    """

    inputs: Batch
    targets: tf.Tensor
    weights: tf.Tensor
    places: tf.Tensor | None
    routed: tf.Tensor

    def predicting(self, hidden: tf.Tensor) -> tf.Tensor:
        """The hidden states that predict, [N, D], of all [B, T, D]."""
        rows = tf.reshape(hidden, [-1, hidden.shape[-1]])
        return rows if self.places is None else tf.gather(rows, self.places)


class Objective(NamedTuple):
    """What a network is trained to do.

    Attributes:
        examples: Makes examples of a batch; its `key` int32 [B, 2] draws what is random.
        router_weight: Predictions that count for each token that experts see. The router's sums
            over tokens times this, divided by the number of predictions, are means over tokens.
    """

    examples: Callable[[Batch], Examples]
    router_weight: float = 1.0


def of(network: Any, masking: Masking | None = None) -> Objective:
    """The objective of a network's kind.

    Args:
        network: One of `models`.
        masking: Of a `MaskedLM`.

    Raises:
        ValueError: A `MaskedLM` without masking, or another kind with it.
    """
    settings = network.settings
    if (settings.kind == "masked_lm") != (masking is not None):
        raise ValueError(f"expected masking for a masked_lm and no other, got {masking}")
    if masking is not None:
        return Objective(
            lambda batch: masked(batch, masking, settings.num_layers), masking.settings.fraction
        )
    if settings.kind == "encoder_decoder":
        layers = (settings.encoder_layers, settings.num_layers)
        return Objective(lambda batch: translation(batch, *layers))
    return Objective(lambda batch: continuation(batch, settings.num_layers))


def continuation(batch: Batch, num_layers: int) -> Examples:
    """Each next token of the same document.

    Args:
        batch: `tokens` int32 [B, T+1]; perhaps `segments` and `positions` int32 [B, T+1]; perhaps
            `answers` int32 [B, T+1], 1 for tokens that are to be learnt: the answer to a prompt.
        num_layers: Layers that a token goes through.
    """
    tokens, targets, weights = predictions(batch["tokens"], batch.get("segments"))
    if "answers" in batch:
        weights *= tf.cast(batch["answers"][:, 1:], tf.float32)
    inputs = {"tokens": tokens, **_without_last(batch, "segments", "positions")}
    return _all_places(inputs, targets, weights, _real(inputs) * num_layers)


def translation(batch: Batch, encoder_layers: int, decoder_layers: int) -> Examples:
    """Each next token of the target, from the source and the target before it.

    Args:
        batch: `source` int32 [B, S], and perhaps `source_segments` int32 [B, S]; `tokens` int32
            [B, T+1], and perhaps `segments` int32 [B, T+1], 0 for filling.
        encoder_layers: Layers that a token of the source goes through.
        decoder_layers: The same of the target.
    """
    tokens, targets, weights = predictions(batch["tokens"], batch.get("segments"))
    inputs = {"tokens": tokens, **_without_last(batch, "segments")}
    routed = _real(inputs) * decoder_layers
    source: Batch = {name: batch[name] for name in batch if name.startswith("source")}
    routed += _real(source, "source", "source_segments") * encoder_layers
    return _all_places({**inputs, **source}, targets, weights, routed)


def masked(batch: Batch, masking: Masking, num_layers: int) -> Examples:
    """The tokens that are hidden from the network; only their hidden states predict.

    Args:
        batch: `tokens` int32 [B, T+1], of which the first T are seen; perhaps `segments` and
            `positions` int32 [B, T+1]; `key` int32 [B, 2], which draws the masks.
        masking: What is hidden.
        num_layers: Layers that a token goes through.
    """
    inputs = _without_last(batch, "tokens", "segments", "positions")
    truth = inputs["tokens"]
    hidden = masking(truth, inputs.get("segments"), batch["key"])
    targets = tf.gather(truth, hidden.places, batch_dims=1)
    rows = tf.range(tf.shape(truth)[0])[:, None] * tf.shape(truth)[1]
    return Examples(
        {**inputs, "tokens": hidden.tokens},
        tf.reshape(targets, [-1]),
        tf.reshape(hidden.weights, [-1]),
        tf.reshape(rows + hidden.places, [-1]),
        _real(inputs) * num_layers,
    )


def _without_last(batch: Batch, *names: str) -> Batch:
    return {name: batch[name][:, :-1] for name in names if name in batch}


def _real(inputs: Batch, tokens: str = "tokens", segments: str = "segments") -> tf.Tensor:
    """Tokens that are no filling, float32 scalar."""
    if segments in inputs:
        return tf.reduce_sum(tf.cast(inputs[segments] != 0, tf.float32))
    return tf.cast(tf.size(inputs[tokens]), tf.float32)


def _all_places(
    inputs: Batch, targets: tf.Tensor, weights: tf.Tensor, routed: tf.Tensor
) -> Examples:
    flat = (tf.reshape(targets, [-1]), tf.reshape(weights, [-1]))
    return Examples(inputs, *flat, places=None, routed=routed)
