"""Peak memory of the output projection, loss and gradient: the whole logits against blocks of them.

    .venv/bin/python benchmarks/loss_memory.py [--runs 5]

8 rows of 512 tokens, width 256, 65,536 tokens in the vocabulary, label smoothing and z-loss. Each
measurement is a process of its own, because a process keeps the memory it once had: its peak
(`ru_maxrss`) less that of "built", a process that has the inputs and the matrix, and makes the
loss of 8 tokens. "whole" is TensorFlow's autodiff of `TokenLoss` over all logits at once, "blocks"
is what `Trainer` does. Fails if blocks do not need at least `LEAST_RATIO` times less, or if the
loss or a gradient differs by more than `MOST_DIFFERENCE` of its norm.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")

import interleaved
import numpy as np

BATCH, LENGTH, WIDTH, VOCABULARY = 8, 512, 256, 65_536
LEAST_RATIO, MOST_DIFFERENCE = 3.0, 1e-6
WAYS = ("built", "whole", "blocks")


def measure(way: str, results: Path) -> float:
    """Peak megabytes of this process; leaves the loss and its gradients in the file `results`."""
    import tensorflow as tf

    from llm_keras.training.losses import Head, TokenLoss, loss_sum_and_gradients

    random = np.random.default_rng(0)
    tokens = 8 if way == "built" else BATCH * LENGTH
    hidden = tf.constant(random.normal(size=(BATCH * LENGTH, WIDTH)).astype("float32"))[:tokens]
    matrix = tf.Variable(random.normal(0, 0.02, (WIDTH, VOCABULARY)).astype("float32"))
    targets = tf.constant(random.integers(0, VOCABULARY, BATCH * LENGTH).astype("int32"))[:tokens]
    weights = tf.ones([tokens])
    loss = TokenLoss(label_smoothing=0.1, z_loss=1e-4)

    @tf.function(autograph=False)
    def in_blocks() -> Any:
        head = Head(lambda x: x @ matrix, [matrix], VOCABULARY)
        total, by_hidden, by_head = loss_sum_and_gradients(loss, head, hidden, targets, weights)
        return total, by_hidden, by_head[0]

    @tf.function(autograph=False)
    def as_whole() -> Any:
        with tf.GradientTape() as tape:
            tape.watch(hidden)
            total = tf.reduce_sum(loss(hidden @ matrix, targets) * weights)
        return total, *tape.gradient(total, [hidden, matrix])

    total, by_hidden, by_matrix = as_whole() if way == "whole" else in_blocks()
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found = {"loss": total, "gradient by hidden": by_hidden, "gradient by matrix": by_matrix}
    np.savez(results, **{name: value.numpy() for name, value in found.items()})
    return megabytes


def main() -> int:
    """Measures all ways in turn, prints a table and the verdict."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--way", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        print(measure(arguments.way[0], Path(arguments.way[1])))
        return 0
    peaks: dict[str, list[float]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        results = {way: Path(folder) / f"{way}.npz" for way in WAYS}
        for _ in range(arguments.runs):
            for way in WAYS:
                command = [sys.executable, __file__, "--way", way, str(results[way])]
                child = subprocess.run(command, capture_output=True, text=True, check=True)
                peaks[way].append(float(child.stdout.splitlines()[-1]))
        whole, blocks = (np.load(results[way]) for way in ("whole", "blocks"))
        differences = {
            name: float(np.linalg.norm(blocks[name] - whole[name]) / np.linalg.norm(whole[name]))
            for name in whole
        }
    print(interleaved.versions("tensorflow", "keras"), f"- {arguments.runs} runs\n")
    return verdict(peaks, differences)


def verdict(peaks: dict[str, list[float]], differences: dict[str, float]) -> int:
    """Prints peaks above "built" and differences; 1 if they are not as promised."""
    base = statistics.median(peaks["built"])
    above = {way: [peak - base for peak in peaks[way]] for way in WAYS[1:]}
    print("| logits | median MB above built | min - max |\n|---|---|---|")
    for way, values in above.items():
        spread = f"{min(values):,.0f} - {max(values):,.0f}"
        print(f"| {way} | {statistics.median(values):,.0f} | {spread} |")
    ratio = statistics.median(above["whole"]) / statistics.median(above["blocks"])
    print(f"\nratio {ratio:.1f}, at least {LEAST_RATIO} promised")
    for name, difference in differences.items():
        print(f"{name}: relative difference {difference:.1e}, at most {MOST_DIFFERENCE} promised")
    kept = ratio >= LEAST_RATIO and max(differences.values()) <= MOST_DIFFERENCE
    print("kept" if kept else "NOT kept")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
