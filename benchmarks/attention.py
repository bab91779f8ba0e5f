"""The attention core beside other ways: time of forward and backward, and memory of long rows.

    python benchmarks/attention.py time [--rounds 7]     # contenders take turns, four shapes
    python benchmarks/attention.py memory [--length 8192]

`time` calls attention alone, causal, in float32, and differentiates it by queries, keys and values.
`memory` trains two blocks (width 512, 8 heads) for two steps on one row: with whole score matrices,
with blocks whose scores are kept, and as the package does it for long rows, each in a process of
its own (`ru_maxrss`); a matrix [T, T] of one head alone takes 4 T T bytes.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import interleaved

#: (rows, positions, query heads, key-value heads, features of a head)
SHAPES = {
    "8 x 256, 6 heads": (8, 256, 6, 6, 64),
    "8 x 256, 6 heads on 2": (8, 256, 6, 2, 64),
    "2 x 1024, 8 heads": (2, 1024, 8, 8, 64),
    "1 x 4096, 4 heads": (1, 4096, 4, 4, 64),
}
WAYS = ("keras.ops", "einsum", "ours whole", "ours in blocks", "ours recomputed")
PEER = "keras.ops"


def _way(name: str, length: int) -> Callable[[Any, Any, Any], Any]:
    """Queries, keys and values to what attention gives."""
    import tensorflow as tf
    from keras import ops

    from llm_keras.layers import attention_core
    from llm_keras.layers.masks import RowMask

    def repeated(x: Any, heads: int) -> Any:
        return tf.repeat(x, heads // x.shape[2], axis=2)

    def keras_ops(query: Any, key: Any, value: Any) -> Any:
        return ops.dot_product_attention(query, key, value, is_causal=True)

    def einsum(query: Any, key: Any, value: Any) -> Any:
        key, value = (repeated(part, query.shape[2]) for part in (key, value))
        scores = tf.einsum("btnh,bsnh->bnts", query, key) * query.shape[-1] ** -0.5
        scores += RowMask(length, causal=True).whole()
        return tf.einsum("bnts,bsnh->btnh", tf.nn.softmax(scores), value)

    def ours(block: int | None, kept: int) -> Callable[..., Any]:
        def attend(query: Any, key: Any, value: Any) -> Any:
            attention_core.KEPT_LENGTH = kept
            return attention_core.attend(query, key, value, RowMask(length, causal=True), block)

        return attend

    block = attention_core.choose_block(length, causal=True, window=None)
    ways = {
        "keras.ops": keras_ops,
        "einsum": einsum,
        "ours whole": ours(length, length),
        "ours in blocks": ours(block, length),
        "ours recomputed": ours(block, 0),
    }
    return ways[name]


def _serve(name: str, shape: str) -> None:
    import numpy as np
    import tensorflow as tf

    rows, length, heads, shared, width = SHAPES[shape]
    random = np.random.default_rng(0)
    parts = [
        tf.constant(random.normal(size=[rows, length, count, width]).astype("float32"))
        for count in (heads, shared, shared)
    ]
    attend = _way(name, length)

    @tf.function(autograph=False)
    def step(*parts: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(parts)
            result = attend(*parts)
        return tape.gradient(result, parts, output_gradients=result)

    tf.nest.map_structure(lambda part: part.numpy(), step(*parts))

    def work() -> float:
        start = time.perf_counter()
        step(*parts)[-1].numpy()
        return rows * length / (time.perf_counter() - start)

    interleaved.serve(work)


def _time(rounds: int) -> None:
    print(interleaved.versions("tensorflow", "keras"))
    for shape in SHAPES:
        contenders = {
            name: [sys.executable, __file__, "serve", "--way", name, "--shape", shape]
            for name in WAYS
        }
        print(f"\n{shape}\n")
        results = interleaved.measure(contenders, rounds)
        print("\n".join(interleaved.table(results, PEER, "tokens/s")))


def _peak(way: str, length: int) -> float:
    """Peak megabytes of a process that trains (or, for "built", only builds) two blocks."""
    import numpy as np
    import tensorflow as tf

    from llm_keras import config, models
    from llm_keras.layers import attention_core
    from llm_keras.training import Trainer

    if way in ("whole", "blocks kept"):
        attention_core.KEPT_LENGTH = length
    shape = config.Model(
        num_layers=2,
        hidden_dim=512,
        intermediate_dim=1024,
        num_query_heads=8,
        attention_block_length=length if way == "whole" else None,
    )
    network = models.build_model(shape, vocabulary_size=512, sequence_length=length)
    trainer = Trainer(network)
    trainer.compile("sgd")
    tokens = np.random.default_rng(0).integers(0, 512, [1, 1, length + 1]).astype("int32")
    batches = iter(tf.data.Dataset.from_tensor_slices({"tokens": tokens}).repeat())
    step = trainer.make_train_function()
    for _ in range(0 if way == "built" else 2):
        step(batches)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _memory(length: int) -> None:
    print(interleaved.versions("tensorflow", "keras"))
    print(f"one row of {length}; [T, T] of 8 heads in 2 blocks: {64 * length**2 / 2**20:,.0f} MB\n")
    print("| | peak MB | of training |\n|---|---|---|")
    base = 0.0
    for way in ("built", "whole", "blocks kept", "recomputed"):
        child = subprocess.run(
            [sys.executable, __file__, "peak", "--way", way, "--length", str(length)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        if child.returncode:
            print(f"| {way} | did not end (code {child.returncode}) | |")
            continue
        peak = json.loads(child.stdout.splitlines()[-1])
        base = base or peak
        print(f"| {way} | {peak:,.0f} | {peak - base:,.0f} |")


def main() -> None:
    """Measures what it is asked for, or serves as one contender."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("time", "memory", "serve", "peak"))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--length", type=int, default=8192)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--shape", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    match asked.what:
        case "time":
            _time(asked.rounds)
        case "memory":
            _memory(asked.length)
        case "serve":
            _serve(asked.way, asked.shape)
        case "peak":
            print(json.dumps(_peak(asked.way, asked.length)))


if __name__ == "__main__":
    main()
