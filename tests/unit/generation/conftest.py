"""A small tokenizer of real text, and small models with random weights."""

from pathlib import Path

import pytest
import tensorflow as tf

from llm_keras import config, models
from llm_keras.generation import Sampling, TextGenerator
from llm_keras.generation.text import same_for_all
from llm_keras.tokenizers import SentencePieceTokenizer
from llm_keras.tokenizers.training import train

EXAMPLES = Path(__file__).parents[3] / "examples" / "data" / "state_of_the_union"
CONTEXT = 48
STRINGS = tf.TensorSpec([None], tf.string)
FLOATS = tf.TensorSpec([None], tf.float32)
NUMBERS = tf.TensorSpec([None], tf.int32)
SIGNATURE = [
    STRINGS,
    NUMBERS,
    Sampling(FLOATS, NUMBERS, FLOATS, FLOATS, FLOATS, NUMBERS),
    tf.TensorSpec([None, 1], tf.string),
]


@pytest.fixture(scope="session")
def tokenizer():
    """512 pieces, 260 of them special ones and bytes."""
    texts = [path.read_text() for path in sorted(EXAMPLES.glob("17*.txt"))]
    return SentencePieceTokenizer(train(texts, config.Tokenizer(vocabulary_size=512)))


@pytest.fixture(scope="session")
def make_network(tokenizer):
    """Makes a model of two blocks; large random weights, so that its choices are decided."""

    def make(**changes):
        shape = {
            "num_layers": 2,
            "hidden_dim": 32,
            "intermediate_dim": 64,
            "num_query_heads": 4,
            "num_key_value_heads": 2,
            "initializer_range": 0.3,
        }
        return models.build_model(
            config.Model(**shape | changes),
            vocabulary_size=tokenizer.vocabulary_size,
            sequence_length=CONTEXT,
        )

    return make


@pytest.fixture(scope="session")
def network(make_network):
    """Rotary positions, grouped queries, SwiGLU: the default kind."""
    return make_network()


@pytest.fixture(scope="session")
def make_answer(tokenizer):
    """Makes a function from prompts and settings to answers: one graph for all of its calls."""

    def make(network):
        generator = TextGenerator(network, tokenizer)

        @tf.function(input_signature=SIGNATURE)
        def graph(texts, limits, sampling, stop):
            return generator.answer(generator.encode(texts), limits, sampling, stop)

        def answer(prompts, settings, seed=0, stop=""):
            rows = len(prompts)
            sampling = same_for_all(settings, rows)
            sampling = sampling._replace(seed=tf.broadcast_to(tf.constant(seed), [rows]))
            limits = tf.fill([rows], settings.max_new_tokens)
            return graph(tf.constant(prompts), limits, sampling, tf.fill([rows, 1], stop))

        return answer

    return make


@pytest.fixture(scope="session")
def answer(make_answer, network):
    """Answers of `network`."""
    return make_answer(network)
