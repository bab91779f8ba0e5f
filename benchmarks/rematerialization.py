"""Peak memory and time of a training step, without and with recomputed blocks.

Each case runs in a process of its own, because a process keeps the memory it once had. Peak memory
is that of the whole process (`ru_maxrss`); what TensorFlow and the weights take is the row "built".

    python benchmarks/rematerialization.py [--layers 12] [--hidden 256] [--length 512] [--batch 8]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time

CASES = ("built", "none", "block")


def measure(case: str, shape: argparse.Namespace) -> dict[str, float]:
    """Peak megabytes, seconds a step and loss of a few steps."""
    import numpy as np
    import tensorflow as tf

    from llm_keras import config, models
    from llm_keras.parallel import devices, rematerialization
    from llm_keras.training import Trainer, optimizers

    devices.pin_threads()
    settings = config.Model(
        num_layers=shape.layers,
        hidden_dim=shape.hidden,
        intermediate_dim=4 * shape.hidden,
        num_query_heads=shape.hidden // 64,
        dropout=0.1,
    )
    network = models.build_model(settings, vocabulary_size=4096, sequence_length=shape.length)
    if case == "block":
        network.block_call = rematerialization.recompute_block
    trainer = Trainer(network)
    training = config.Training(total_steps=100, global_batch_size=shape.batch)
    trainer.compile(optimizers.build(training, network.trainable_variables))
    random = np.random.default_rng(0)
    tokens = random.integers(0, 4096, (1, shape.batch, shape.length + 1)).astype("int32")
    batches = iter(tf.data.Dataset.from_tensor_slices({"tokens": tokens}).repeat())
    seconds, logs = [], {"loss": float("nan")}
    step = trainer.make_train_function()
    for _ in range(0 if case == "built" else shape.steps):
        start = time.perf_counter()
        logs = step(batches)
        seconds.append(time.perf_counter() - start)
    return {
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "seconds": min(seconds, default=float("nan")),
        "loss": float(logs["loss"]),
    }


def main() -> None:
    """Measures every case and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("layers", 12), ("hidden", 256), ("length", 512), ("batch", 8)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    shape = parser.parse_args()
    if shape.case:
        print(json.dumps(measure(shape.case, shape)))
        return
    print(f"{vars(shape)}, {platform.machine()}, {len(os.sched_getaffinity(0))} threads")
    print(f"{'blocks':10} {'peak MB':>8} {'activations MB':>15} {'s/step':>7} {'loss':>9}")
    base = 0.0
    for case in CASES:
        child = subprocess.run(
            [sys.executable, *sys.argv, "--case", case],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        found = json.loads(child.stdout.splitlines()[-1])
        base = base or found["megabytes"]
        print(
            f"{case:10} {found['megabytes']:8.0f} {found['megabytes'] - base:15.0f}"
            f" {found['seconds']:7.2f} {found['loss']:9.5f}"
        )


if __name__ == "__main__":
    main()
