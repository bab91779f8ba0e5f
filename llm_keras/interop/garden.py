"""Checkpoints of TF Model Garden's `Seq2SeqTransformer`, an encoder-decoder.

Such a checkpoint is a graph of objects: each weight's key is its path from what was saved, which
may be the model or something that holds it. Shapes tell the rest, but for where the norms stand:
pre-norm, as Garden's default, unless the user says otherwise.

References:
    https://github.com/tensorflow/models, official/nlp/modeling/models/seq2seq_transformer.py.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from llm_keras import config
from llm_keras.errors import UserError
from llm_keras.interop.description import Description
from llm_keras.interop.tensor import Tensor

SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
SLOT = ".OPTIMIZER_SLOT"
EMBEDDING = "embedding_lookup/embeddings"
PARTS = ("embedding_lookup/", "encoder_layer/", "decoder_layer/")
#: Garden's positions have no end; this is what a run is given at first.
SEQUENCE_LENGTH = 256


def is_checkpoint(prefix: Path) -> bool:
    """Whether a checkpoint is saved under this prefix."""
    return prefix.with_name(prefix.name + ".index").is_file()


def read(prefix: Path) -> dict[str, Tensor]:
    """The model's weights by their paths from the model.

    Raises:
        UserError: The checkpoint cannot be read, or is of something else.
    """
    import tensorflow as tf

    try:
        reader = tf.train.load_checkpoint(str(prefix))
        shapes = reader.get_variable_to_shape_map()
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        raise UserError(f"{prefix}: is no checkpoint: {str(error).splitlines()[0]}") from None
    end = EMBEDDING + SUFFIX
    roots = [key.removesuffix(end) for key in shapes if key.endswith(end) and SLOT not in key]
    if len(roots) != 1:
        raise UserError(
            f"{prefix}: expected one {EMBEDDING}, as a checkpoint of Seq2SeqTransformer has, found"
            f" {len(roots)}"
        )

    def tensor(key: str) -> Tensor:
        def value() -> np.ndarray:
            try:
                return np.asarray(reader.get_tensor(key), np.float32)
            except (tf.errors.OpError, RuntimeError) as error:
                first = str(error).splitlines()[0]
                raise UserError(f"{prefix}: {key} cannot be read: {first}") from None

        return Tensor(tuple(shapes[key]), value)

    parts = tuple(roots[0] + part for part in PARTS)
    return {
        key.removeprefix(roots[0]).removesuffix(SUFFIX): tensor(key)
        for key in shapes
        if key.startswith(parts) and key.endswith(SUFFIX) and SLOT not in key
    }


def describe(tensors: dict[str, Tensor], name: str) -> Description:
    """The settings that the weights' shapes show.

    Raises:
        UserError: A weight that would show them is missing.
    """
    try:
        vocabulary_size, hidden_dim = tensors[EMBEDDING].shape
        query = tensors["decoder_layer/decoder_layers/0/self_attention/_query_dense/kernel"]
        feed_forward = tensors["decoder_layer/decoder_layers/0/intermediate_dense/kernel"]
    except KeyError as error:
        raise UserError(f"{name}: {error.args[0]} is missing") from None
    fields: dict[str, Any] = {
        "kind": "encoder_decoder",
        "num_layers": _layers(tensors, "decoder"),
        "num_encoder_layers": _layers(tensors, "encoder"),
        "hidden_dim": hidden_dim,
        "intermediate_dim": feed_forward.shape[-1],
        "num_query_heads": query.shape[1],
        "head_dim": query.shape[2],
        "positions": "sinusoidal",
        "sinusoidal_pairing": "halves",
        "activation": "relu",
        "normalization": "layer_norm",
        "normalization_epsilon": 1e-6,
        "norm_placement": "pre",
        "final_norm": True,
        "use_bias": True,
        "attention_bias": "all" if any("_query_dense/bias" in key for key in tensors) else "none",
        "initialization": "glorot_uniform",
    }
    return Description(config.Model.model_validate(fields), vocabulary_size, SEQUENCE_LENGTH)


def _layers(tensors: dict[str, Tensor], side: str) -> int:
    pattern = re.compile(rf"{side}_layer/{side}_layers/(\d+)/")
    return 1 + max((int(m[1]) for key in tensors if (m := pattern.match(key))), default=-1)
