"""What a checkpoint costs training: how long it waits, and how long writing takes beside it.

    .venv/bin/python benchmarks/checkpoints.py [--hidden 384] [--saves 8]

A decoder with AdamW on made-up tokens through `fit`, the checkpoint callback of the recipe, and a
save every four steps. Printed are medians with least and most: of a step without a write beside
it, of one with, of the wait before a step that follows a save, and of the writing. In between, as
many saves are made in the foreground, which is the wait there would be without the background.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", KERAS_BACKEND="tensorflow", CUDA_VISIBLE_DEVICES="")

import numpy as np
import tensorflow as tf

from llm_keras import config, models
from llm_keras.training import checkpoints, optimizers
from llm_keras.training.background import BackgroundWriter
from llm_keras.training.callbacks import Logs, StepCallback
from llm_keras.training.json_lines import JsonLines
from llm_keras.training.saving import Checkpoints
from llm_keras.training.stopping import StopRequest
from llm_keras.training.trainer import Trainer

EVERY, ROWS, LENGTH, VOCABULARY = 4, 4, 128, 8192


class Clock(StepCallback):
    """Seconds of each step, and whether something was written beside it."""

    def __init__(self, writer: BackgroundWriter) -> None:
        super().__init__()
        self._writer = writer
        self.alone: list[float] = []
        self.beside: list[float] = []

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Starts it."""
        self._begin = time.perf_counter()
        self._writing = self._writer.busy

    def on_step_end(self, step: int, logs: Logs) -> None:
        """Stops it; the first two steps make the graph."""
        if step > 2:
            found = self.beside if self._writing else self.alone
            found.append(time.perf_counter() - self._begin)


def told(seconds: list[float]) -> str:
    """Median, least and most."""
    if not seconds:
        return "none"
    middle, least, most = statistics.median(seconds), min(seconds), max(seconds)
    return f"{middle:.3f} s ({least:.3f} to {most:.3f})"


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hidden", type=int, default=384)
    parser.add_argument("--saves", type=int, default=8)
    options = parser.parse_args()
    steps = EVERY * options.saves
    settings = config.Training(
        total_steps=steps,
        global_batch_size=ROWS,
        checkpoint_every_steps=EVERY,
        schedule=config.Schedule(warmup_steps=2),
    )
    shape = config.Model(
        num_layers=6,
        hidden_dim=options.hidden,
        intermediate_dim=4 * options.hidden,
        num_query_heads=options.hidden // 64,
    )
    network = models.build_model(shape, vocabulary_size=VOCABULARY, sequence_length=LENGTH)
    trainer = Trainer(network)
    trainer.compile(optimizers.build(settings, network.trainable_variables))
    tokens = np.random.default_rng(0).integers(4, VOCABULARY, (ROWS, LENGTH + 1)).astype("int32")
    batch = {"tokens": tokens, "segments": np.ones_like(tokens), "rows": np.arange(ROWS)}
    data = tf.data.Dataset.from_tensors(batch).repeat()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "checkpoints"
        waits: list[float] = []
        writes: list[float] = []

        class Timed(Checkpoints):
            """Notes each wait."""

            def save(self) -> None:
                before = self.stalled_seconds
                super().save()
                waits.append(self.stalled_seconds - before)

        with JsonLines(Path(folder) / "metrics.jsonl", 0) as lines, BackgroundWriter() as writer:
            clock = Clock(writer)
            saving = Timed(root, settings, lambda _: {}, lines, writer, StopRequest())
            trainer.fit(
                data, steps_per_epoch=steps, callbacks=[clock, saving], shuffle=False, verbose=0
            )
        for _ in range(options.saves):
            begin = time.perf_counter()
            checkpoints.save(root, trainer, {})
            writes.append(time.perf_counter() - begin)
        stored = sum(path.stat().st_size for path in root.rglob("*.safetensors"))
    print(
        f"{network.count_params() / 1e6:.1f} million parameters, {stored / 1e6:.0f} MB a checkpoint"
    )
    print(f"a step                      {told(clock.alone)}")
    print(f"a step while one is written {told(clock.beside)}")
    print(f"training waits for a save   {told(waits)}")
    print(f"a save in the foreground    {told(writes)}")


if __name__ == "__main__":
    main()
