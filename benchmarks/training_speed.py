"""Training tokens a second of this package beside KerasHub, through each one's own `fit`.

    .venv/bin/python benchmarks/training_speed.py [ROUNDS]

GPT-2's form with 6 layers, width 384, 6 heads, vocabulary 8192, context 256, batch 8 (13,891,584
parameters), AdamW, gradient clipped at norm 1. A measurement is the median step of a short `fit`;
contenders take turns, and the ratio is the median over rounds.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", KERAS_BACKEND="tensorflow", CUDA_VISIBLE_DEVICES="")

import interleaved

LAYERS, WIDTH, HEADS, VOCABULARY, CONTEXT, BATCH = 6, 384, 6, 8192, 256, 8
STEPS = 8


def ours(precision: str) -> Callable[[], float]:
    """This package, as `llm-keras train` puts it together."""
    import keras
    import tensorflow as tf

    from llm_keras import config, models
    from llm_keras.training.trainer import Trainer

    shape = config.Model(
        num_layers=LAYERS,
        hidden_dim=WIDTH,
        intermediate_dim=4 * WIDTH,
        num_query_heads=HEADS,
        positions="learned",
        activation="gelu_tanh",
        normalization="layer_norm",
        use_bias=True,
        attention_block_length=CONTEXT // 2,
    )
    policy = "float32" if precision == "float32" else "mixed_bfloat16"
    network = models.build_model(
        shape, vocabulary_size=VOCABULARY, sequence_length=CONTEXT, dtype_policy=policy
    )
    trainer = Trainer(network)
    trainer.compile(keras.optimizers.AdamW(1e-3, global_clipnorm=1.0))
    rows = tf.random.uniform([BATCH, CONTEXT + 1], 0, VOCABULARY, tf.int32, seed=1)
    return _fit(trainer, {"tokens": rows})


def keras_hub(mode: str) -> Callable[[], float]:
    """KerasHub's backbone with its tied output projection, compiled with Keras's own loss."""
    import keras
    import keras_hub as hub
    import tensorflow as tf

    backbone = hub.models.GPT2Backbone(
        vocabulary_size=VOCABULARY,
        num_layers=LAYERS,
        num_heads=HEADS,
        hidden_dim=WIDTH,
        intermediate_dim=4 * WIDTH,
        max_sequence_length=CONTEXT,
        dropout=0.0,
    )
    inputs = {
        "token_ids": keras.Input((CONTEXT,), dtype="int32"),
        "padding_mask": keras.Input((CONTEXT,), dtype="int32"),
    }
    model = keras.Model(inputs, backbone.token_embedding(backbone(inputs), reverse=True))
    model.compile(
        optimizer=keras.optimizers.AdamW(1e-3, global_clipnorm=1.0),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=mode == "xla",
    )
    rows = tf.random.uniform([BATCH, CONTEXT + 1], 0, VOCABULARY, tf.int32, seed=1)
    features = {"token_ids": rows[:, :-1], "padding_mask": tf.ones_like(rows[:, :-1])}
    return _fit(model, (features, rows[:, 1:]))


def _fit(model: Any, batch: Any) -> Callable[[], float]:
    """A measurement: tokens a second of the median step of a short `fit`."""
    import keras
    import tensorflow as tf

    class Clock(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.seconds: list[float] = []

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            self.start = time.perf_counter()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.seconds.append(time.perf_counter() - self.start)

    data = tf.data.Dataset.from_tensors(batch).repeat()

    def measure() -> float:
        clock = Clock()
        model.fit(data, steps_per_epoch=STEPS, epochs=1, verbose=0, callbacks=[clock])
        return BATCH * CONTEXT / statistics.median(clock.seconds[1:])

    measure()
    return measure


CONTENDERS = {
    "llm-keras float32": lambda: ours("float32"),
    "llm-keras bfloat16": lambda: ours("bfloat16"),
    "KerasHub graph": lambda: keras_hub("graph"),
    "KerasHub XLA": lambda: keras_hub("xla"),
}


def main() -> None:
    """Prints the table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    commands = {name: [sys.executable, __file__, "--contender", name] for name in CONTENDERS}
    results = interleaved.measure(commands, rounds)
    print(interleaved.versions("tensorflow", "keras", "keras-hub"), f"- {rounds} rounds\n")
    print("\n".join(interleaved.table(results, "KerasHub graph", "tokens/s")))


if __name__ == "__main__":
    if "--contender" in sys.argv:
        interleaved.serve(CONTENDERS[sys.argv[-1]]())
    else:
        main()
