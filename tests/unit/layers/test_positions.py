"""Rotary, learned and sinusoidal positions against their papers."""

import numpy as np
import pytest
import tensorflow as tf

from llm_keras.layers import LearnedPositions, RotaryPositions, SinusoidalPositions
from llm_keras.layers.rotary_positions import rotate

RANDOM = np.random.default_rng(11)


def _normal(*shape):
    return RANDOM.normal(size=shape).astype("float32")


@pytest.mark.parametrize("wavelength", [10_000.0, 500_000.0])
def test_rotary_turns_pairs_as_complex_numbers(wavelength):
    """Su et al. 2021, equation 12: a pair is a complex number, multiplied by exp(i m theta)."""
    x, positions = _normal(2, 6, 3, 8), RANDOM.integers(0, 2000, [2, 6]).astype("int32")
    turned = rotate(x, RotaryPositions(8, wavelength)(positions))
    theta = wavelength ** (-2 * np.arange(4) / 8)
    factor = np.exp(1j * positions[:, :, None, None] * theta)
    pairs = (x[..., :4] + 1j * x[..., 4:]) * factor
    np.testing.assert_allclose(turned[..., :4], pairs.real, atol=2e-3)
    np.testing.assert_allclose(turned[..., 4:], pairs.imag, atol=2e-3)


def test_rotary_products_depend_on_the_distance_only():
    """Su et al. 2021, equation 11: moving query and key together changes no score."""
    query, key = _normal(1, 1, 1, 16), _normal(1, 1, 1, 16)
    layer = RotaryPositions(16)

    def score(query_at, key_at):
        turned = [
            rotate(part, layer(tf.constant([[at]])))
            for part, at in ((query, query_at), (key, key_at))
        ]
        return float(tf.reduce_sum(turned[0] * turned[1]))

    assert score(3, 0) == pytest.approx(score(1003, 1000), abs=1e-3)
    assert score(3, 0) != pytest.approx(score(4, 0), abs=1e-3)


def test_rotary_tables_are_float32_in_mixed_precision():
    """bfloat16 cannot tell position 1000 from 1001: the tables must stay float32."""
    layer = RotaryPositions(8, dtype="mixed_bfloat16")
    tables = layer(tf.constant([1000, 1001]))
    assert {table.dtype for table in tables} == {tf.float32}
    assert abs(float(tables[0][0, 0, 0] - tables[0][1, 0, 0])) > 0.1


def test_odd_head_is_refused():
    """Pairs need an even number of features."""
    with pytest.raises(ValueError, match="expected an even head_dim, got 7"):
        RotaryPositions(7)


def test_sinusoidal_equals_the_paper():
    """Vaswani et al. 2017, section 3.5, each entry by its own formula."""
    x, positions = _normal(2, 5, 6), np.array([0, 1, 2, 50, 511])
    encoding = np.zeros([5, 6])
    for row, position in enumerate(positions):
        for i in range(3):
            angle = position / 10_000 ** (2 * i / 6)
            encoding[row, 2 * i : 2 * i + 2] = np.sin(angle), np.cos(angle)
    result = SinusoidalPositions()(x, positions)
    np.testing.assert_allclose(result, x + encoding, atol=1e-4)


def test_learned_adds_the_vector_of_each_position():
    """Positions may restart within a row, as packed documents do."""
    layer = LearnedPositions(10)
    x, positions = _normal(2, 4, 6), np.array([[0, 1, 2, 3], [0, 1, 0, 9]])
    layer.build(x.shape)
    table = _normal(10, 6)
    layer.embeddings.assign(table)
    np.testing.assert_allclose(layer(x, positions), x + table[positions], rtol=1e-6)
