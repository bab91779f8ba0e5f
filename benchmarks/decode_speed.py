"""Decoded tokens a second of this package's SavedModel beside KerasHub's `generate`.

    .venv/bin/python benchmarks/decode_speed.py [ROUNDS] [BATCH] [--processor-time]

GPT-2's form with 6 layers, width 384, 6 heads, vocabulary 8192, context 256, random weights in
float32; a prompt of 32 tokens is continued by 128 greedy ones. This package runs as a server runs
it, from text to text through the loaded SavedModel, without XLA; KerasHub from ids to ids.
Contenders take turns, and the ratio is the median over rounds. A model this small is fastest with
one thread in an op at batch 1 (TensorFlow Serving: `--tensorflow_intra_op_parallelism=1`), so both
are shown with it. `--processor-time` divides by the processor's time instead of the clock's: to be
used where others work on the same machine.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", KERAS_BACKEND="tensorflow", CUDA_VISIBLE_DEVICES="")

import interleaved

LAYERS, WIDTH, HEADS, VOCABULARY, CONTEXT = 6, 384, 6, 8192, 256
PROMPT, NEW = 32, 128
EXAMPLES = Path(__file__).parent.parent / "examples" / "data" / "state_of_the_union"


def export(folder: Path) -> None:
    """The model as `llm-keras export` writes it, with a tokenizer of the example texts."""
    from llm_keras import config, models
    from llm_keras.export import export_saved_model
    from llm_keras.tokenizers.training import train

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
    network = models.build_model(shape, vocabulary_size=VOCABULARY, sequence_length=CONTEXT)
    texts = [path.read_text(encoding="utf-8") for path in sorted(EXAMPLES.glob("*.txt"))]
    tokenizer = folder / "tokenizer.model"
    tokenizer.write_bytes(train(texts, config.Tokenizer(vocabulary_size=VOCABULARY)))
    export_saved_model(network, tokenizer, folder, config.Generation())


def ours(folder: Path, batch: int) -> Callable[[], Any]:
    """A call of the loaded model's signature `generate`."""
    import tensorflow as tf
    import tensorflow_text  # noqa: F401  # the tokenizer's ops

    model = tf.saved_model.load(str(folder / "1"))
    request = {
        # A byte that no text holds is a token of its own; bos is the first of the prompt.
        "text": tf.constant(["\0" * (PROMPT - 1)] * batch),
        "temperature": tf.zeros([batch]),
        "top_k": tf.zeros([batch], tf.int32),
        "top_p": tf.ones([batch]),
        "min_p": tf.zeros([batch]),
        "repetition_penalty": tf.ones([batch]),
        "max_new_tokens": tf.fill([batch], NEW),
        "seed": tf.zeros([batch], tf.int32),
        "stop": tf.zeros([batch, 0], tf.string),
    }

    def call() -> Any:
        answer = model.signatures["generate"](**request)
        assert answer["prompt_tokens"].numpy().tolist() == [PROMPT] * batch
        assert answer["completion_tokens"].numpy().tolist() == [NEW] * batch
        return answer["text"].numpy()

    return call


def keras_hub(mode: str, batch: int) -> Callable[[], Any]:
    """A call of `GPT2CausalLM.generate` on ids."""
    import keras_hub as hub
    import numpy as np

    backbone = hub.models.GPT2Backbone(
        vocabulary_size=VOCABULARY,
        num_layers=LAYERS,
        num_heads=HEADS,
        hidden_dim=WIDTH,
        intermediate_dim=4 * WIDTH,
        max_sequence_length=CONTEXT,
        dropout=0.0,
    )
    model = hub.models.GPT2CausalLM(backbone=backbone, preprocessor=None)
    model.compile(sampler="greedy", jit_compile=mode == "xla")
    ids = np.zeros([batch, PROMPT + NEW], "int32")
    ids[:, :PROMPT] = np.random.default_rng(0).integers(0, VOCABULARY, [batch, PROMPT])
    mask = np.zeros_like(ids)
    mask[:, :PROMPT] = 1
    inputs = {"token_ids": ids, "padding_mask": mask}
    return lambda: model.generate(inputs, stop_token_ids=None)


#: Name: (threads in an op, 0 for as many as cores; what is called).
CONTENDERS: dict[str, tuple[int, Callable[[Path, int], Callable[[], Any]]]] = {
    "llm-keras, 1 thread": (1, ours),
    "llm-keras": (0, ours),
    "KerasHub graph, 1 thread": (1, lambda _, batch: keras_hub("graph", batch)),
    "KerasHub graph": (0, lambda _, batch: keras_hub("graph", batch)),
    "KerasHub XLA": (0, lambda _, batch: keras_hub("xla", batch)),
}


def contend(name: str, folder: Path, batch: int) -> None:
    """A contender's process."""
    import tensorflow as tf

    threads, make = CONTENDERS[name]
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    call = make(folder, batch)
    clock = time.process_time if "--processor-time" in sys.argv else time.perf_counter

    def measure() -> float:
        start = clock()
        call()
        return batch * NEW / (clock() - start)

    for _ in range(2):  # the first call traces, the second allocates
        measure()
    interleaved.serve(measure)


def main() -> None:
    """Prints the table."""
    numbers = [int(argument) for argument in sys.argv[1:] if argument.isdigit()]
    rounds, batch = (*numbers, *(7, 1)[len(numbers) :])
    flags = [argument for argument in sys.argv[1:] if argument.startswith("--")]
    with tempfile.TemporaryDirectory() as folder:
        export(Path(folder))
        commands = {
            name: [sys.executable, __file__, "--contender", name, folder, str(batch), *flags]
            for name in CONTENDERS
        }
        results = interleaved.measure(commands, rounds)
    unit = "tokens/s of processor time" if "--processor-time" in flags else "tokens/s"
    print(interleaved.versions("tensorflow", "keras", "keras-hub"))
    print(f"batch {batch}, {rounds} rounds\n")
    print("\n".join(interleaved.table(results, "KerasHub graph", unit)))


if __name__ == "__main__":
    if "--contender" in sys.argv:
        place = sys.argv.index("--contender") + 1
        contend(sys.argv[place], Path(sys.argv[place + 1]), int(sys.argv[place + 2]))
    else:
        main()
