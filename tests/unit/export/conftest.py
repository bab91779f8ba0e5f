"""One exported model for all tests of this folder."""

from pathlib import Path

import pytest
import tensorflow as tf

from llm_keras import config, models
from llm_keras.export import export_saved_model
from llm_keras.tokenizers import SentencePieceTokenizer
from llm_keras.tokenizers.training import train

EXAMPLES = Path(__file__).parents[3] / "examples" / "data" / "state_of_the_union"
CONTEXT = 40


@pytest.fixture(scope="session")
def tokenizer():
    """512 pieces, 260 of them special ones and bytes."""
    texts = [path.read_text() for path in sorted(EXAMPLES.glob("17*.txt"))]
    return SentencePieceTokenizer(train(texts, config.Tokenizer(vocabulary_size=512)))


@pytest.fixture(scope="session")
def tokenizer_model(tokenizer, tmp_path_factory):
    """The tokenizer's file."""
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.model"
    path.write_bytes(tokenizer.model)
    return path


@pytest.fixture(scope="session")
def settings():
    """What the exported `serving_default` uses."""
    return config.Generation(max_new_tokens=6, temperature=0)


@pytest.fixture(scope="session")
def network(tokenizer):
    """One block with large random weights, and no position after the context's last."""
    shape = config.Model(
        num_layers=1,
        hidden_dim=32,
        intermediate_dim=64,
        num_query_heads=4,
        num_key_value_heads=2,
        positions="learned",
        initializer_range=0.3,
    )
    return models.build_model(
        shape, vocabulary_size=tokenizer.vocabulary_size, sequence_length=CONTEXT
    )


@pytest.fixture(scope="session")
def exported(network, tokenizer_model, settings, tmp_path_factory):
    """The folder of version 1."""
    destination = tmp_path_factory.mktemp("export")
    about = {"step": 7, "purpose": "a test"}
    return export_saved_model(network, tokenizer_model, destination, settings, about)


@pytest.fixture(scope="session")
def loaded(exported):
    """The SavedModel, as TensorFlow loads it."""
    return tf.saved_model.load(str(exported))


@pytest.fixture(scope="session")
def call_export():
    """Makes a function that asks a loaded export: arguments are lists, answers NumPy arrays."""

    def make(loaded):
        def call(signature, **inputs):
            function = loaded.signatures[signature]
            specs = function.structured_input_signature[1]
            inputs = {name: tf.constant(value, specs[name].dtype) for name, value in inputs.items()}
            return {name: value.numpy() for name, value in function(**inputs).items()}

        return call

    return make


@pytest.fixture(scope="session")
def message():
    """Takes the model's own line out of TensorFlow's words."""

    def line(error):
        text = error.value.message
        start = text.index("assertion failed: [") + len("assertion failed: [")
        assert "\n" not in text[start : text.index("]", start)]
        return text[start : text.index("]", start)]

    return line
