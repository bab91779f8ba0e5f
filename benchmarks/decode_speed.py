"""Tokens per second of greedy decoding, beside KerasHub, on the same work in the same run.

    python benchmarks/decode_speed.py [--batch-size 1] [--rounds 8]

A GPT of 6 layers, width 384, 6 heads, vocabulary 8,192, random weights; a prompt of 32 tokens is
continued by 128. `saved_model` is this package's export, run from text to text as a server runs it,
tokenizer and detokenizer included. `keras_hub` is `GPT2CausalLM.generate` from ids to ids, compiled
as a graph (`keras_hub_graph`) and by XLA (`keras_hub_xla`, which stock TensorFlow Serving cannot
run). Each variant is a process of its own; rounds are interleaved, so that a busy machine slows all
of them. Medians and the spread between quartiles are printed; compare ratios within one run only.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

LAYERS, WIDTH, HEADS, VOCABULARY, CONTEXT = 6, 384, 6, 8192, 256
PROMPT, NEW = 32, 128
VARIANTS = {
    # name: (worker, threads inside one op; 0 as many as cores)
    "saved_model": ("saved_model", 0),
    "saved_model, 1 thread": ("saved_model", 1),
    "keras_hub_graph": ("keras_hub_graph", 0),
    "keras_hub_graph, 1 thread": ("keras_hub_graph", 1),
    "keras_hub_xla": ("keras_hub_xla", 0),
}
EXAMPLES = Path(__file__).parent.parent / "examples" / "data" / "state_of_the_union"


def saved_model(batch_size: int) -> Callable[[], Any]:
    """Exports a model with random weights, loads it, and returns a call of `generate`."""
    import tensorflow as tf

    from llm_keras import config
    from llm_keras.export import export_saved_model
    from llm_keras.models import build_causal_lm
    from llm_keras.tokenizers.training import train

    settings = config.Model(
        num_layers=LAYERS,
        hidden_dim=WIDTH,
        intermediate_dim=4 * WIDTH,
        num_query_heads=HEADS,
        positions="learned",
        activation="gelu_tanh",
        normalization="layer_norm",
        use_bias=True,
    )
    network = build_causal_lm(settings, vocabulary_size=VOCABULARY, sequence_length=CONTEXT)
    texts = [path.read_text() for path in sorted(EXAMPLES.glob("*.txt"))]
    folder = Path(tempfile.mkdtemp())
    tokenizer = folder / "tokenizer.model"
    tokenizer.write_bytes(train(texts, config.Tokenizer(vocabulary_size=VOCABULARY)))
    export = export_saved_model(network, tokenizer, folder / "export", config.Generation())
    loaded = tf.saved_model.load(str(export))
    shutil.rmtree(folder)
    size = [batch_size]
    request = {
        # A byte that no text holds is a token of its own; bos is the first of the 32.
        "text": tf.constant(["\0" * (PROMPT - 1)] * batch_size),
        "temperature": tf.zeros(size),
        "top_k": tf.zeros(size, tf.int32),
        "top_p": tf.ones(size),
        "repetition_penalty": tf.ones(size),
        "max_new_tokens": tf.fill(size, NEW),
        "seed": tf.zeros(size, tf.int32),
        "stop": tf.zeros([batch_size, 0], tf.string),
    }

    def call() -> Any:
        answer = loaded.signatures["generate"](**request)
        assert answer["prompt_tokens"].numpy().tolist() == [PROMPT] * batch_size
        assert answer["completion_tokens"].numpy().tolist() == [NEW] * batch_size
        return answer["text"].numpy()

    return call


def keras_hub(batch_size: int, jit_compile: bool) -> Callable[[], Any]:
    """A call of `GPT2CausalLM.generate`."""
    import keras_hub
    import numpy as np

    backbone = keras_hub.models.GPT2Backbone(
        vocabulary_size=VOCABULARY,
        num_layers=LAYERS,
        num_heads=HEADS,
        hidden_dim=WIDTH,
        intermediate_dim=4 * WIDTH,
        max_sequence_length=CONTEXT,
        dropout=0.0,
    )
    model = keras_hub.models.GPT2CausalLM(backbone=backbone, preprocessor=None)
    model.compile(sampler="greedy", jit_compile=jit_compile)
    ids = np.zeros((batch_size, PROMPT + NEW), "int32")
    ids[:, :PROMPT] = np.random.default_rng(0).integers(4, VOCABULARY, (batch_size, PROMPT))
    inputs = {"token_ids": ids, "padding_mask": np.arange(PROMPT + NEW) < PROMPT + 0 * ids}
    inputs["padding_mask"] = inputs["padding_mask"].astype("int32")
    return lambda: model.generate(inputs, stop_token_ids=None)


def work(worker: str, threads: int, batch_size: int) -> None:
    """A process that measures one call for every line it reads."""
    import tensorflow as tf

    if threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    if worker == "saved_model":
        call = saved_model(batch_size)
    else:
        call = keras_hub(batch_size, jit_compile=worker == "keras_hub_xla")
    for _ in range(2):  # the first call traces and allocates
        call()
    print("ready", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        call()
        print(time.perf_counter() - start, flush=True)


class Worker:
    """A variant in a process of its own."""

    def __init__(self, name: str, batch_size: int) -> None:
        self.name = name
        self.seconds: list[float] = []
        worker, threads = VARIANTS[name]
        arguments = [sys.executable, __file__, "--worker", worker, "--threads", str(threads)]
        self.process = subprocess.Popen(
            [*arguments, "--batch-size", str(batch_size)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"},
        )
        while (line := self.process.stdout.readline().strip()) != "ready":
            if not line and self.process.poll() is not None:
                raise SystemExit(f"{name} failed; its message is above")

    def measure(self) -> None:
        """One call."""
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        self.seconds.append(float(self.process.stdout.readline()))

    def close(self) -> None:
        """Ends the process."""
        self.process.stdin.close()
        self.process.wait()


def main() -> None:
    """Runs all variants and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments.worker, arguments.threads, arguments.batch_size)
        return
    workers = [Worker(name, arguments.batch_size) for name in VARIANTS]
    for _ in range(arguments.rounds):
        for worker in workers:
            worker.measure()
    tokens = arguments.batch_size * NEW
    peer = next(worker for worker in workers if worker.name == "keras_hub_graph")
    print(f"batch {arguments.batch_size}, {PROMPT} prompt and {NEW} new tokens, greedy, float32")
    print(f"{'':28}{'median':>8}{'quartiles':>14} tokens/s    x keras_hub_graph")
    for worker in workers:
        low, middle, high = statistics.quantiles(worker.seconds, n=4)
        ratio = statistics.median(peer.seconds) / middle
        print(
            f"{worker.name:28}{tokens / middle:8.0f}"
            f"{tokens / high:8.0f}-{tokens / low:<5.0f}{'':13}{ratio:.2f}"
        )
        worker.close()


if __name__ == "__main__":
    main()
