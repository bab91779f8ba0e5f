"""muP's coordinate check: does the size of activations depend on the model's width?

    .venv/bin/python benchmarks/mup_coordinates.py [PICTURE.svg]

Trains models of widths 64 to 1024 for a few steps on the same tokens with AdamW, in standard and in
maximal update parametrization, and prints the mean absolute activation of each part after the last
step, and by how much the targets' logits have changed (what logits start from falls with the width
under muP, by design). Under muP every row is flat; otherwise they grow with the width.

References:
    Yang et al. 2022, appendix D.1.
"""

from __future__ import annotations

import os
import statistics
import sys
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

WIDTHS = (64, 128, 256, 512, 1024)
BASE = 64
STEPS = 4
SEEDS = (0, 1, 2)
HEAD_DIM = 16
VOCABULARY, LENGTH, BATCH = 512, 32, 8
CHANGE = "targets' change"
PARTS = ("embedding", "attention", "feed_forward", "last block", CHANGE)

Sizes = dict[str, list[float]]  # part -> one size for each width


def _sizes(width: int, mup: bool, seed: int) -> dict[str, float]:
    """Mean absolute activation by part, after `STEPS` updates."""
    import numpy as np
    import tensorflow as tf

    from llm_keras import config, models
    from llm_keras.training import Trainer, optimizers

    run = config.Run(
        seed=seed,
        tokenizer={"vocabulary_size": VOCABULARY},
        records={"sequence_length": LENGTH},
        model={
            "num_layers": 4,
            "hidden_dim": width,
            "intermediate_dim": 2 * width,
            "num_query_heads": width // HEAD_DIM,
            "initializer_range": 0.1,
            "mup_base_dim": BASE if mup else None,
        },
        training={
            "total_steps": 1000,
            "global_batch_size": BATCH,
            "optimizer": {"learning_rate": 0.003, "weight_decay": 0.0},
            "schedule": {"kind": "constant", "warmup_steps": 0},
        },
    )
    network = models.build(run)
    trainer = Trainer(network)
    multiple = run.model.width_multiplier
    trainer.compile(optimizers.build(run.training, network.trainable_variables, multiple))
    random = np.random.default_rng(seed)
    tokens = random.integers(4, VOCABULARY, [BATCH, LENGTH + 1]).astype("int32")
    inputs = {"tokens": tf.constant(tokens[:, :-1])}
    start = _look(network, inputs)[CHANGE]
    data = tf.data.Dataset.from_tensors({"tokens": tokens}).repeat()
    trainer.fit(data, steps_per_epoch=STEPS, shuffle=False, verbose=0)
    seen = _look(network, inputs)
    seen[CHANGE] = tf.gather(seen[CHANGE] - start, tokens[:, 1:], batch_dims=2)
    return {part: float(tf.reduce_mean(tf.abs(seen[part]))) for part in PARTS}


def _look(network: Any, inputs: Any) -> dict[str, Any]:
    seen: dict[str, Any] = {"embedding": network.embedding(inputs["tokens"])}

    def look(block: Any, x: Any, context: Any, key: Any) -> Any:
        output = block(x, context, key)
        attended = block.attention(block.attention_norm(x), context)
        fed = block.feed_forward(block.feed_forward_norm(x + attended))
        seen.update({"attention": attended, "feed_forward": fed, "last block": output.x})
        return output

    plain = network.run_blocks
    network.run_blocks = lambda blocks, *rest: plain([partial(look, b) for b in blocks], *rest)
    seen[CHANGE] = network(inputs)
    return seen


def _measure(mup: bool) -> Sizes:
    sizes: Sizes = {part: [] for part in PARTS}
    for width in WIDTHS:
        runs = [_sizes(width, mup, seed) for seed in SEEDS]
        for part in PARTS:
            sizes[part].append(statistics.median(run[part] for run in runs))
    return sizes


def _draw(results: dict[str, Sizes], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.subplots(1, len(results), sharey=True)
    for place, (title, sizes) in zip(axes, results.items(), strict=True):
        for part, values in sizes.items():
            place.plot(WIDTHS, values, marker="o", label=part)
        place.set(title=title, xscale="log", yscale="log", xlabel="width")
        place.set_xticks(WIDTHS, [str(width) for width in WIDTHS])
        place.minorticks_off()
    axes[0].set_ylabel(f"mean |activation| after {STEPS} steps")
    axes[0].legend(fontsize="small")
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Prints a table for each parametrization; draws the picture where asked to."""
    results = {"standard": _measure(mup=False), "muP": _measure(mup=True)}
    for title, sizes in results.items():
        print(f"\n| {title} | {' | '.join(map(str, WIDTHS))} | last / first |")
        print("|---" * (len(WIDTHS) + 2) + "|")
        for part, values in sizes.items():
            figures = " | ".join(f"{value:.3g}" for value in values)
            print(f"| {part} | {figures} | {values[-1] / values[0]:.2f} |")
    if len(sys.argv) > 1:
        _draw(results, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
