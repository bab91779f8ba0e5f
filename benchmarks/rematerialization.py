"""Peak memory and time of a training step for each choice of `training.rematerialization`.

Each case runs in processes of their own, because a process keeps the memory it once had. Measured
is the high-water mark of a process (`ru_maxrss`). "base" is that of one whose rows have a few
tokens: TensorFlow, the model, the optimizer, the weights' gradients, and the graph. What one with
whole rows has on top of that are activations, logits and temporary results.

    python benchmarks/rematerialization.py [--layers 12] [--hidden 256] [--length 512] [--batch 8]

Exits with 1 if `full` adds more than 35 % of what `none` adds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

CASES = ("none", "attention", "block", "every_n", "full")
#: Largest share of the memory of `none` that `full` may take.
LIMIT = 0.35
VOCABULARY = 4096


def run_of(case: str, shape: argparse.Namespace) -> Any:
    """The run whose step is measured."""
    from llm_keras import config

    return config.Run.model_validate(
        {
            "corpus": {"sources": [{"name": "none", "kind": "text", "path": "."}]},
            "tokenizer": {"vocabulary_size": VOCABULARY},
            "records": {"sequence_length": shape.length},
            "model": {
                "kind": shape.kind,
                "num_layers": shape.layers,
                "hidden_dim": shape.hidden,
                "intermediate_dim": 4 * shape.hidden,
                "num_query_heads": shape.hidden // 64,
                "dropout": 0.1,
            },
            "training": {
                "total_steps": 100,
                "global_batch_size": shape.batch,
                "rematerialization": case,
                "rematerialization_blocks": shape.blocks,
            },
        }
    )


def measure(case: str, shape: argparse.Namespace) -> dict[str, float]:
    """Peak megabytes of a process, seconds a step and loss of a few steps."""
    import numpy as np
    import tensorflow as tf

    from llm_keras import models
    from llm_keras.parallel import devices, rematerialization
    from llm_keras.training import Trainer, optimizers

    devices.pin_threads()
    run = run_of(case, shape)
    network = models.build(run)
    rematerialization.install(network, run.training)
    trainer = Trainer(network)
    trainer.compile(optimizers.build(run.training, network.trainable_variables))
    step = trainer.make_train_function()
    random = np.random.default_rng(0)

    tokens = random.integers(0, VOCABULARY, (1, shape.batch, shape.length + 1)).astype("int32")
    batches = iter(tf.data.Dataset.from_tensor_slices({"tokens": tokens}).repeat())
    seconds, logs = [], {}
    for _ in range(shape.steps):
        start = time.perf_counter()
        logs = step(batches)
        seconds.append(time.perf_counter() - start)
    return {
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "seconds": statistics.median(seconds[1:]),
        "loss": float(logs["loss"]),
    }


def main() -> int:
    """Measures every case and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("layers", 12), ("hidden", 256), ("length", 512), ("batch", 8)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--blocks", type=int, default=3, help="every_n: blocks of a group")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3, help="processes a case")
    parser.add_argument("--kind", choices=("causal_lm", "masked_lm"), default="causal_lm")
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    shape = parser.parse_args()
    if shape.case:
        print(json.dumps(measure(shape.case, shape)))
        return 0
    from llm_keras.accounting.flops import flops_per_token, recomputed_flops_per_token
    from llm_keras.planning.memory import activation_bytes, training_bytes

    print(f"{vars(shape)}, {platform.machine()}, {len(os.sched_getaffinity(0))} threads")
    print("Megabytes: median of the processes (least to most).")
    print(
        f"{'blocks':10} {'base':>6} {'peak':>6} {'added':>18} {'share':>6} {'planned':>8}"
        f" {'s/step':>7} {'time':>5} {'FLOPs':>6} {'loss':>9}"
    )
    whole, slow = 0.0, 0.0
    for case in CASES:
        base = min(_in_child(case, "--length", "8")["peak"] for _ in range(shape.repeats))
        found = [_in_child(case) for _ in range(shape.repeats)]
        added = sorted(each["peak"] - base for each in found)
        median = statistics.median(added)
        seconds = min(each["seconds"] for each in found)
        whole, slow = whole or median, slow or seconds
        run = run_of(case, shape)
        planned = (activation_bytes(run) + training_bytes(run)["logits"]) / 2**20
        flops = flops_per_token(run.model, VOCABULARY, shape.length)
        print(
            f"{case:10} {base:6.0f} {found[0]['peak']:6.0f}"
            f" {median:6.0f} ({added[0]:4.0f}-{added[-1]:4.0f}) {median / whole:6.2f}"
            f" {planned:8.0f} {seconds:7.2f} {seconds / slow:5.2f}"
            f" {1 + recomputed_flops_per_token(run) / flops:6.2f} {found[0]['loss']:9.5f}",
            flush=True,
        )
    return int(median > LIMIT * whole)


def _in_child(case: str, *changes: str) -> dict[str, float]:
    child = subprocess.run(
        [sys.executable, *sys.argv, *changes, "--case", case],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    if child.returncode:
        raise SystemExit(child.stderr[-2000:])
    found: dict[str, float] = json.loads(child.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    raise SystemExit(main())
