"""Embeddings and added positions against their equations: values, and gradients by differences."""

import numpy as np
import pytest

from llm_keras.layers import LearnedPositions, SinusoidalPositions, TokenEmbedding, TokenTypes
from tests.reference.numeric import assert_follows, normal, randomize

TOKENS = np.array([[3, 1, 4, 1], [5, 0, 2, 6]], "int32")
POSITIONS = np.array([[0, 1, 2, 3], [0, 1, 0, 40]], "int32")


@pytest.mark.parametrize("scale", [1.0, 36**0.5])
def test_token_embedding(scale):
    """A row of the matrix, times the scale; a token that comes twice gets both gradients."""
    layer = randomize(TokenEmbedding(7, 36, scale), None)
    assert_follows(layer, lambda: layer(TOKENS), lambda w: scale * w["embeddings"][TOKENS])


def test_output_projection_by_the_embedding():
    """The product with the matrix turned over, which the scale does not touch."""
    layer = randomize(TokenEmbedding(7, 6, scale=3.0), None)
    assert_follows(layer, layer.logits, lambda w, x: x @ w["embeddings"].T, normal(2, 3, 6))


def test_token_types():
    """The vector of each token's part is added."""
    layer, types = randomize(TokenTypes(3), (None, None, 6)), TOKENS % 3
    assert_follows(
        layer, lambda x: layer(x, types), lambda w, x: x + w["embeddings"][types], normal(2, 4, 6)
    )


def test_token_types_that_nobody_gave():
    """All tokens are of the first part."""
    layer = randomize(TokenTypes(3), (None, None, 6))
    assert_follows(
        layer, lambda x: layer(x, None), lambda w, x: x + w["embeddings"][0], normal(2, 4, 6)
    )


def test_learned_positions():
    """The vector of each position is added; positions may start anew within a row."""
    layer = randomize(LearnedPositions(41), (None, None, 6))
    assert_follows(
        layer,
        lambda x: layer(x, POSITIONS),
        lambda w, x: x + w["embeddings"][POSITIONS],
        normal(2, 4, 6),
    )


def _sines_of_the_paper(position, width):
    """Vaswani et al. 2017, section 3.5."""
    row = np.empty(width)
    for i in range(width // 2):
        angle = position / 10_000 ** (2 * i / width)
        row[2 * i], row[2 * i + 1] = np.sin(angle), np.cos(angle)
    return row


def _sines_of_the_code(position, width):
    """Tensor2Tensor: a geometric series of timescales from 1 to 10,000, both ends included."""
    timescales = np.geomspace(1, 10_000, width // 2)
    return np.concatenate([np.sin(position / timescales), np.cos(position / timescales)])


@pytest.mark.parametrize(
    ("pairing", "sines"), [("neighbours", _sines_of_the_paper), ("halves", _sines_of_the_code)]
)
def test_sinusoidal_positions(pairing, sines):
    """Sines and cosines are added, at the places that the paper or its code has for them."""
    layer = SinusoidalPositions(pairing=pairing)
    encoding = np.array([[sines(position, 8) for position in row] for row in POSITIONS])
    assert_follows(layer, lambda x: layer(x, POSITIONS), lambda w, x: x + encoding, normal(2, 4, 8))
