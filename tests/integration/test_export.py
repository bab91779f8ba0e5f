"""The exported model where it will live: in a process without this package and without Keras."""

import json
import subprocess
import sys
import urllib.request
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from llm_keras import cli, config, models, run_file
from llm_keras.errors import UserError
from llm_keras.export import export_saved_model
from llm_keras.generation import generate_text
from llm_keras.inspection import inspect
from llm_keras.run_folder import RunFolder
from llm_keras.tokenizers import SentencePieceTokenizer
from llm_keras.tokenizers.training import train
from llm_keras.training import checkpoint_files, checkpoints
from serving import server

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

def ask(name, inputs):
    specs = model.signatures[name].structured_input_signature[1]
    typed = {key: tf.constant(value, specs[key].dtype) for key, value in inputs.items()}
    return model.signatures[name](**typed)

answers = {name: ask(name, inputs) for name, inputs in question.items()}

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


def ask_outside(folder, question):
    """Answers of an export to `{signature: inputs}` in a process that has nothing of ours."""
    child = subprocess.run(
        [sys.executable, "-c", CLIENT, folder],
        input=json.dumps(question),
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )
    assert child.returncode == 0, child.stderr
    found = json.loads(child.stdout)
    assert found["blocked"] == ["blocked: llm_keras", "blocked: keras"]
    assert not {"llm_keras", "keras", "tf_keras", "sentencepiece"} & set(found["modules"])
    return found


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

    found = ask_outside(
        folder,
        {
            "serving_default": {"text": PROMPTS},
            "logits": {"tokens": TOKENS, "lengths": [len(row) for row in TOKENS]},
            "tokenize": {"text": PROMPTS},
        },
    )
    exact = models.build_model(shape, **size)
    exact.set_weights(trained.get_weights())
    expected = exact({"tokens": np.array(TOKENS, "int32")}).numpy()
    np.testing.assert_allclose(found["logits"]["logits"], expected, atol=1e-5)
    completions = generate_text(exact, tokenizer, PROMPTS, settings)
    assert found["serving_default"]["text"] == [row.text for row in completions]
    assert found["serving_default"]["finish_reason"] == [row.finish_reason for row in completions]
    assert found["tokenize"]["lengths"] == [len(tokenizer.encode(prompt)) for prompt in PROMPTS]


#: A run file of each kind that is not the default; small enough to be made with random weights.
RUN = """
corpus: {{sources: []}}
tokenizer: {{vocabulary_size: 512, user_symbols: [<mask>]}}
records: {{sequence_length: 24}}
model:
  {{kind: {kind}, num_layers: 1, hidden_dim: 32, intermediate_dim: 64, num_query_heads: 4,
   positions: sinusoidal, norm_placement: post, initializer_range: 0.3}}
training: {{total_steps: 1, global_batch_size: 1, schedule: {{warmup_steps: 1}}}}
generation: {{max_new_tokens: 8, num_beams: {beams}}}
serving: {{model_name: small}}
"""


class SmallRun:
    """A run with tokenizer and checkpoint, but never trained."""

    def __init__(self, root, kind, tokenizer):
        self.folder, self.tokenizer = RunFolder(root), tokenizer
        self.settings = run_file.parse(
            RUN.format(kind=kind, beams=4 if kind == "encoder_decoder" else 1), "run.yaml"
        )
        root.mkdir()
        self.folder.run_file.write_text(run_file.dump(self.settings))
        self.folder.tokenizer_model.parent.mkdir(parents=True)
        self.folder.tokenizer_model.write_bytes(tokenizer.model)
        self.network = models.build(self.settings)
        weights = {
            f"{place:04}:{variable.path}": variable.numpy()
            for place, variable in enumerate(self.network.variables)
        }
        checkpoint_files.save(self.folder.checkpoints, 1, {checkpoints.NETWORK: weights}, {})

    def command(self, name, *options):
        """What `llm-keras NAME RUN ...` prints."""
        result = CliRunner().invoke(cli.app, [name, str(self.folder.root), *options])
        if result.exception:
            raise result.exception
        return result.stdout


@pytest.fixture(scope="module")
def make_run(tokenizer, tmp_path_factory):
    """Makes and exports a run of a kind, from the command line, once."""

    @cache
    def make(kind):
        run = SmallRun(tmp_path_factory.mktemp("runs") / kind, kind, tokenizer)
        run.command("export")
        return run

    return make


def predict(url, body):
    """Posts to the model `small` of an embedded server."""
    request = urllib.request.Request(f"{url}/v1/models/small:predict", json.dumps(body).encode())
    with urllib.request.urlopen(request) as response:
        return json.load(response)["predictions"]


def test_translations_are_the_same_everywhere(make_run):
    """In process, in a process with TensorFlow only, over REST, and from the command line."""
    run = make_run("encoder_decoder")
    expected = generate_text(run.network, run.tokenizer, PROMPTS, run.settings.generation)
    texts = [row.text for row in expected]
    assert len(set(texts)) == 3
    outside = ask_outside(run.folder.export / "1", {"translate": {"text": PROMPTS}})
    assert outside["translate"]["text"] == texts
    with server.start_in_background(run.folder.export, "small") as url:
        rows = predict(url, {"signature_name": "translate", "instances": PROMPTS})
        (only,) = predict(url, {"instances": PROMPTS[:1]})
    assert [row["text"] for row in rows] == texts
    assert rows[0] == only == vars(expected[0])
    assert run.command("generate", "--prompt", PROMPTS[0]) == texts[0] + "\n"
    asked = run.command("serve", "--ask", PROMPTS[0])
    assert json.loads(asked[asked.index("\n{") :]) == only


def test_vectors_are_the_same_everywhere(make_run):
    """In process, in a process with TensorFlow only, over REST, and from the command line."""
    run = make_run("masked_lm")
    ids = [2, *run.tokenizer.encode(PROMPTS[0]), 3]
    expected = run.network.sentence_vectors({"tokens": np.array([ids], "int32")}).numpy()[0]
    outside = ask_outside(run.folder.export / "1", {"encode": {"text": PROMPTS}})
    np.testing.assert_allclose(outside["encode"]["vectors"][0], expected, atol=1e-5)
    with server.start_in_background(run.folder.export, "small") as url:
        rows = predict(url, {"signature_name": "encode", "instances": PROMPTS})
        (only,) = predict(url, {"instances": PROMPTS[:1]})
    np.testing.assert_allclose(rows, outside["encode"]["vectors"], atol=1e-5)
    asked = run.command("serve", "--ask", PROMPTS[0])
    assert json.loads(asked.splitlines()[-1]) == only


def test_a_masked_lm_writes_no_text(make_run):
    """One line that says what it does instead."""
    run = make_run("masked_lm")
    with pytest.raises(UserError) as error:
        run.command("generate", "--prompt", "a")
    assert str(error.value) == (
        "generate: a masked_lm writes no text, but makes vectors of texts; run `llm-keras export"
        f" {run.folder.root}` and ask the signature `encode`, as `llm-keras serve"
        f" {run.folder.root} --ask TEXT` does"
    )


@pytest.mark.parametrize("kind", ["encoder_decoder", "masked_lm"])
def test_an_export_of_each_kind_can_be_inspected(make_run, kind):
    """`llm-keras inspect` names its signatures with their tensors."""
    lines = "\n".join(inspect(make_run(kind).folder.export / "1", limit=10))
    expected = {
        "encoder_decoder": ["  translate", "text string[?]", "  score", "source string[?]"],
        "masked_lm": ["  encode", "vectors float[?, 32]"],
    }
    assert all(text in lines for text in [*expected[kind], f'"kind": "{kind}"', "  tokenize"])
