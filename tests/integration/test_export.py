"""The exported model where it will live: in a process without this package and without Keras."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from llm_keras import config, models
from llm_keras.export import export_saved_model
from llm_keras.generation import generate_text
from llm_keras.tokenizers import SentencePieceTokenizer
from llm_keras.tokenizers.training import train

EXAMPLES = Path(__file__).parents[2] / "examples" / "data" / "state_of_the_union"
PROMPTS = ["Fellow-Citizens of the Senate", "", "\u00e9\u6f22"]
TOKENS = [[2, 300, 17, 5, 511], [2, 4, 4, 260, 90]]

#: Only TensorFlow and the ops of TF Text, as in TensorFlow Serving; whoever loads anything of ours
#: or Keras fails. TensorFlow asks where Keras would lie, so finding must succeed; TF Text's Python
#: package would load Keras for layers that nobody needs here, so its library is loaded instead.
CLIENT = """
import importlib.abc, importlib.machinery, importlib.util, json, sys

class Blocked(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in {"llm_keras", "pipelines", "serving", "keras", "tf_keras"}:
            return importlib.machinery.ModuleSpec(name, self, origin="/blocked/module.py")

    def create_module(self, spec):
        raise ImportError(f"blocked: {spec.name}")

    def exec_module(self, module):
        raise AssertionError

sys.meta_path.insert(0, Blocked())
blocked = []
for name in ("llm_keras", "keras"):
    try:
        __import__(name)
    except ImportError as error:
        blocked.append(str(error))

import tensorflow as tf

(text_folder,) = importlib.util.find_spec("tensorflow_text").submodule_search_locations
tf.load_op_library(text_folder + "/python/ops/_sentencepiece_tokenizer.so")
model = tf.saved_model.load(sys.argv[1])
question = json.load(sys.stdin)
text = tf.constant(question["prompts"])
tokens = tf.constant(question["tokens"], tf.int32)
lengths = tf.fill([tokens.shape[0]], tokens.shape[1])
answers = {
    "serving_default": model.signatures["serving_default"](text),
    "logits": model.signatures["logits"](tokens=tokens, lengths=lengths),
    "tokenize": model.signatures["tokenize"](text),
}

def plain(value):
    array = value.numpy()
    return [text.decode() for text in array] if value.dtype == tf.string else array.tolist()

print(json.dumps({
    "blocked": blocked,
    "modules": sorted({name.partition(".")[0] for name in sys.modules}),
    **{name: {k: plain(v) for k, v in answer.items()} for name, answer in answers.items()},
}))
"""


@pytest.fixture(scope="module")
def tokenizer():
    """512 pieces."""
    texts = [path.read_text() for path in sorted(EXAMPLES.glob("17*.txt"))]
    return SentencePieceTokenizer(train(texts, config.Tokenizer(vocabulary_size=512)))


def test_answers_in_a_process_with_only_tensorflow_and_tf_text(tokenizer, tmp_path):
    """A model trained in bfloat16: text, logits within 1e-5 of float32, and ids, from outside."""
    shape = config.Model(
        num_layers=1,
        hidden_dim=32,
        intermediate_dim=64,
        num_query_heads=4,
        normalization="layer_norm",
        activation="gelu_tanh",
        use_bias=True,
        initializer_range=0.3,
    )
    size = {"vocabulary_size": 512, "sequence_length": 32}
    trained = models.build_model(shape, **size, dtype_policy="mixed_bfloat16")
    path = tmp_path / "tokenizer.model"
    path.write_bytes(tokenizer.model)
    settings = config.Generation(max_new_tokens=8, temperature=0.7, top_k=30, top_p=0.9)
    folder = export_saved_model(trained, path, tmp_path / "export", settings)

    child = subprocess.run(
        [sys.executable, "-c", CLIENT, folder],
        input=json.dumps({"prompts": PROMPTS, "tokens": TOKENS}),
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert child.returncode == 0, child.stderr
    found = json.loads(child.stdout)
    assert found["blocked"] == ["blocked: llm_keras", "blocked: keras"]
    assert not {"llm_keras", "keras", "tf_keras", "sentencepiece"} & set(found["modules"])

    exact = models.build_model(shape, **size)
    exact.set_weights(trained.get_weights())
    expected = exact({"tokens": np.array(TOKENS, "int32")}).numpy()
    np.testing.assert_allclose(found["logits"]["logits"], expected, atol=1e-5)
    completions = generate_text(exact, tokenizer, PROMPTS, settings)
    assert found["serving_default"]["text"] == [row.text for row in completions]
    assert found["serving_default"]["finish_reason"] == [row.finish_reason for row in completions]
    assert found["tokenize"]["lengths"] == [len(tokenizer.encode(prompt)) for prompt in PROMPTS]
