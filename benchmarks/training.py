"""Training tokens a second: this package's `fit` beside torch.compile and KerasHub.

    TORCH_PYTHON=/path/to/python .venv/bin/python benchmarks/training.py [--rounds 7]

GPT-2's form with 6 layers, width 384, 6 heads, vocabulary 8192, context 256, batch 8 (13,891,584
parameters), AdamW, gradient clipped at norm 1. A measurement is the median time from the end of one
step to the end of the next, with all that happens between steps; contenders take turns, and a ratio
is the median over rounds. KerasHub's figure is that of its quicker mode, graph or XLA.

PyTorch is no part of this project's environment: make one by `python -m venv` and `pip install
torch`, and name its Python in TORCH_PYTHON. `ours` is `Trainer.fit` with the callback that writes
metrics.jsonl; `ours by hand` a loop over a `tf.function` of the same network, loss and optimizer:
what `fit` and all around it cost. `the limit` is the speed of a step whose operations were all one
matrix product, the one that makes the logits.
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", KERAS_BACKEND="tensorflow", CUDA_VISIBLE_DEVICES="")

import interleaved

LAYERS, WIDTH, HEADS, VOCABULARY, CONTEXT, BATCH = 6, 384, 6, 8192, 256, 8
STEPS = 7
PRECISIONS = ("float32", "bfloat16")


def ours(precision: str, by_hand: bool = False) -> Callable[[], float]:
    """This package, as `llm-keras train` puts it together; or without `fit`."""
    import tensorflow as tf

    from llm_keras import config, console, models
    from llm_keras.training import Trainer, optimizers
    from llm_keras.training.json_lines import JsonLines
    from llm_keras.training.step_metrics import StepMetrics

    shape = config.Model(
        num_layers=LAYERS,
        hidden_dim=WIDTH,
        intermediate_dim=4 * WIDTH,
        num_query_heads=HEADS,
        positions="learned",
        activation="gelu_tanh",
        normalization="layer_norm",
        use_bias=True,
    )
    network = models.build_model(
        shape, vocabulary_size=VOCABULARY, sequence_length=CONTEXT, dtype_policy=_policy(precision)
    )
    settings = config.Training(total_steps=1_000_000, global_batch_size=BATCH)
    trainer = Trainer(network)
    trainer.compile(optimizers.build(settings, network.trainable_variables))
    batch = {"tokens": tf.random.uniform([BATCH, CONTEXT + 1], 0, VOCABULARY, tf.int32, seed=1)}
    if by_hand:
        return _clocked(_step_by_hand(network, trainer.optimizer, batch))
    lines = JsonLines(Path(tempfile.mkdtemp()) / "metrics.jsonl", 0)
    progress = console.LogLines("train", settings.total_steps, 0, "steps")
    return _fitted(trainer, batch, [StepMetrics(lines, progress)])


def _step_by_hand(network: Any, optimizer: Any, batch: Any) -> Callable[[], Any]:
    """The same update without a trainer; its result is the loss."""
    import tensorflow as tf

    from llm_keras.training.losses import Head, TokenLoss, loss_sum_and_gradients

    variables = network.trainable_variables
    values = [variable.value for variable in variables]
    head = Head(network.logits, [v.value for v in network.head_variables], VOCABULARY)

    @tf.function(autograph=False)
    def update(rows: Any) -> Any:
        tokens, targets = rows[:, :-1], tf.reshape(rows[:, 1:], [-1])
        with tf.GradientTape() as tape:
            hidden = tf.reshape(network.hidden_states({"tokens": tokens}), [-1, WIDTH])
        weights = tf.fill([BATCH * CONTEXT], 1 / (BATCH * CONTEXT))
        loss, by_hidden, (by_embedding,) = loss_sum_and_gradients(
            TokenLoss(), head, hidden, targets, weights
        )
        gradients = tape.gradient(hidden, values, output_gradients=by_hidden)
        gradients[0] += by_embedding  # The embedding is tied.
        optimizer.apply(gradients, variables)
        return loss

    return lambda: update(batch["tokens"]).numpy()


def keras_hub(mode: str, precision: str) -> Callable[[], float]:
    """KerasHub's backbone with its tied output projection, compiled with Keras's own loss."""
    import keras
    import keras_hub as hub
    import tensorflow as tf

    keras.config.set_dtype_policy(_policy(precision))
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
        jit_compile=mode == "XLA",
    )
    rows = tf.random.uniform([BATCH, CONTEXT + 1], 0, VOCABULARY, tf.int32, seed=1)
    features = {"token_ids": rows[:, :-1], "padding_mask": tf.ones_like(rows[:, :-1])}
    return _fitted(model, (features, rows[:, 1:]), [])


def torch_compile(precision: str) -> Callable[[], float]:
    """The same network written in PyTorch, with its fused attention and its fused AdamW."""
    import torch
    from torch import nn
    from torch.nn import functional

    torch.set_num_threads(os.cpu_count() or 1)

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norms = nn.ModuleList([nn.LayerNorm(WIDTH) for _ in range(2)])
            self.heads, self.joined = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
            self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

        def forward(self, x: Any) -> Any:
            parts = self.heads(self.norms[0](x)).view(BATCH, CONTEXT, 3, HEADS, -1)
            query, key, value = parts.permute(2, 0, 3, 1, 4).unbind()
            y = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
            x = x + self.joined(y.transpose(1, 2).reshape(BATCH, CONTEXT, WIDTH))
            y = functional.gelu(self.up(self.norms[1](x)), approximate="tanh")
            return x + self.down(y)

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.places = nn.Embedding(VOCABULARY, WIDTH), nn.Embedding(CONTEXT, WIDTH)
            self.blocks = nn.Sequential(*[Block() for _ in range(LAYERS)])
            self.norm = nn.LayerNorm(WIDTH)
            nn.init.normal_(self.tokens.weight, std=0.02)

        def forward(self, tokens: Any, targets: Any) -> Any:
            x = self.norm(self.blocks(self.tokens(tokens) + self.places.weight))
            logits = functional.linear(x, self.tokens.weight)
            return functional.cross_entropy(logits.view(-1, VOCABULARY), targets.reshape(-1))

    model = Model()
    compiled = torch.compile(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    rows = torch.randint(0, VOCABULARY, (BATCH, CONTEXT + 1))

    def step() -> float:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            loss = compiled(rows[:, :-1], rows[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.item()

    return _clocked(step)


def limit(precision: str) -> Callable[[], float]:
    """What the step would take if its operations were one large matrix product."""
    import tensorflow as tf

    left = tf.cast(tf.random.normal([BATCH * CONTEXT, WIDTH]), precision)
    right = tf.cast(tf.random.normal([WIDTH, VOCABULARY]), precision)
    product = tf.function(lambda: tf.reduce_max(tf.matmul(left, right)[:1]))
    weights = LAYERS * 12 * WIDTH**2 + WIDTH * VOCABULARY
    per_token = 6 * weights + 12 * LAYERS * WIDTH * CONTEXT

    def measure() -> float:
        seconds = []
        for _ in range(20):
            begin = time.perf_counter()
            product().numpy()
            seconds.append(time.perf_counter() - begin)
        done = 2 * BATCH * CONTEXT * WIDTH * VOCABULARY
        return done / statistics.median(seconds) / per_token

    measure()
    return measure


def _policy(precision: str) -> str:
    return "float32" if precision == "float32" else f"mixed_{precision}"


def _tokens_per_second(ends: Sequence[float]) -> float:
    steps = [end - begin for begin, end in itertools.pairwise(ends[1:])]
    return BATCH * CONTEXT / statistics.median(steps)


def _clocked(step: Callable[[], Any]) -> Callable[[], float]:
    """A measurement of a step that waits for its own end."""

    def measure() -> float:
        ends = []
        for _ in range(STEPS):
            step()
            ends.append(time.perf_counter())
        return _tokens_per_second(ends)

    measure()
    return measure


def _fitted(model: Any, batch: Any, callbacks: list[Any]) -> Callable[[], float]:
    """A measurement of a short `fit`."""
    import keras
    import tensorflow as tf

    data = tf.data.Dataset.from_tensors(batch).repeat()

    def measure() -> float:
        ends: list[float] = []
        clock = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: ends.append(time.perf_counter())
        )
        model.fit(
            data, steps_per_epoch=STEPS, shuffle=False, verbose=0, callbacks=[*callbacks, clock]
        )
        return _tokens_per_second(ends)

    measure()
    return measure


CONTENDERS: Mapping[str, Callable[[], Callable[[], float]]] = {
    f"{name} {precision}": lambda make=make, precision=precision: make(precision)
    for precision in PRECISIONS
    for name, make in {
        "ours": ours,
        "ours by hand": lambda precision: ours(precision, by_hand=True),
        "torch.compile": torch_compile,
        "KerasHub graph": lambda precision: keras_hub("graph", precision),
        "KerasHub XLA": lambda precision: keras_hub("XLA", precision),
        "the limit": limit,
    }.items()
}


def _commands(pattern: str) -> dict[str, list[str]]:
    """How each contender is started."""
    with_torch = os.environ.get("TORCH_PYTHON")
    if not with_torch:
        print("TORCH_PYTHON names no Python with PyTorch: torch.compile is left out\n")
    commands = {}
    for name in CONTENDERS:
        python = with_torch if name.startswith("torch") else sys.executable
        if python and re.search(pattern, name):
            commands[name] = [python, __file__, "--contender", name]
    return commands


def _summary(results: Mapping[str, Sequence[float]]) -> list[str]:
    """Ratios of this package to each peer at equal precision, with their range over rounds."""
    lines = []
    for precision in PRECISIONS:
        mine = results.get(f"ours {precision}")
        peers = ("torch.compile", "KerasHub graph", "KerasHub XLA", "ours by hand", "the limit")
        for peer in peers if mine else ():
            if theirs := results.get(f"{peer} {precision}"):
                ratios = sorted(a / b for a, b in zip(mine, theirs, strict=True))
                lines.append(
                    f"{precision}: {statistics.median(ratios):.3f} x {peer}"
                    f" ({ratios[0]:.3f} - {ratios[-1]:.3f})"
                )
    return lines


def main() -> None:
    """Prints the table, and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="", help="a regular expression of contenders' names")
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.contender:
        interleaved.serve(CONTENDERS[asked.contender]())
        return
    results = interleaved.measure(_commands(asked.only), asked.rounds)
    print(interleaved.versions("tensorflow", "keras", "keras-hub"), f"- {asked.rounds} rounds\n")
    print("\n".join(interleaved.table(results, next(iter(results)), "tokens/s")), "\n")
    print("\n".join(_summary(results)))


if __name__ == "__main__":
    main()
