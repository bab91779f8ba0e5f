"""Rotary, ALiBi and relative positions against their papers, with gradients."""

import math

import numpy as np
import pytest

from llm_keras.layers import AlibiPositions, RelativePositions, RotaryPositions
from llm_keras.layers.rotary_positions import rotate
from tests.reference import equations
from tests.reference.numeric import assert_close, assert_follows, normal, randomize

POSITIONS = np.array([[0, 1, 2, 700], [0, 1, 0, 55]], "int32")
#: Fields of `config.RopeScaling`; the turns of 8 features over 512 places lie on all three sides.
SCALING = {
    "factor": 4.0,
    "low_frequency_factor": 1.0,
    "high_frequency_factor": 4.0,
    "original_sequence_length": 512,
}


def _scaled(frequency, kind):
    """Chen et al. 2023, equation 3; "llama3" as the code published with Llama 3.1 has it."""
    if kind is None:
        return frequency
    if kind == "linear":
        return frequency / 4.0
    wavelength = 2 * math.pi / frequency
    if wavelength < 512 / 4.0:
        return frequency
    if wavelength > 512 / 1.0:
        return frequency / 4.0
    smooth = (512 / wavelength - 1.0) / (4.0 - 1.0)
    return (1 - smooth) * frequency / 4.0 + smooth * frequency


@pytest.mark.parametrize("pairing", ["halves", "neighbours"])
@pytest.mark.parametrize("kind", [None, "linear", "llama3"])
def test_rotary_positions(pairing, kind):
    """Pairs of features turn by matrices; scaling changes the frequencies."""
    scaling = kind and {"kind": kind, **SCALING}
    layer = RotaryPositions(8, 1000.0, pairing, scaling)
    frequencies = [_scaled(1000.0 ** (-2 * pair / 8), kind) for pair in range(4)]
    assert_follows(
        layer,
        lambda x: rotate(x, layer(POSITIONS), pairing),
        lambda w, x: equations.rotate(x, POSITIONS, frequencies, pairing),
        normal(2, 4, 3, 8),
        tolerance=1e-4,  # float32 knows an angle of 700 to 6e-5 only
    )


def test_llama3_scaling_has_all_three_cases():
    """So that the test above sees each: kept, between, slowed."""
    frequencies = np.array([1000.0 ** (-2 * pair / 8) for pair in range(4)])
    scaled = np.array([_scaled(frequency, "llama3") for frequency in frequencies])
    kept, slowed = scaled == frequencies, scaled == frequencies / 4
    assert kept.any()
    assert slowed.any()
    assert (~kept & ~slowed).any()


@pytest.mark.parametrize("heads", [1, 2, 3, 4, 6, 8, 12, 16, 20, 25])
def test_alibi_positions(heads):
    """Each head's slope times the distance; the slopes are those of the published recipe."""
    distance = abs(np.arange(-4, 5))
    expected = -np.array(equations.alibi_slopes(heads))[:, None] * distance
    assert_close(AlibiPositions(heads)(length=5), expected, "bias")


def test_alibi_slopes_of_the_paper():
    """Press et al. 2022, section 3: of 8 heads 1/2, 1/4, ... 1/256."""
    assert equations.alibi_slopes(8) == [2.0**-power for power in range(1, 9)]


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("buckets", "most"), [(32, 128), (8, 20), (32, 1000)])
def test_relative_positions(causal, buckets, most):
    """T5's bucket of each distance; many distances add their gradients in one bucket."""
    layer = randomize(RelativePositions(2, causal, buckets, most), None)
    distances = np.arange(-150, 151)
    bucket = [equations.relative_bucket(int(d), causal, buckets, most) for d in distances]
    assert len(set(bucket)) >= (buckets // 2 if most > 150 or causal else buckets - 1)
    assert_follows(layer, lambda: layer(length=151), lambda w: w["buckets"][bucket].T)


@pytest.mark.parametrize("causal", [False, True])
def test_relative_buckets_equal_keras_hub(causal):
    """KerasHub's T5 puts every distance up to 2,000 into the same bucket."""
    theirs = pytest.importorskip("keras_hub.src.models.t5.t5_multi_head_attention")
    bucket = theirs.T5MultiHeadAttention._relative_position_bucket(
        np.arange(-2000, 2001), bidirectional=not causal
    )
    layer = randomize(RelativePositions(2, causal), None)
    assert_close(layer(length=2001), layer.buckets.numpy()[np.asarray(bucket)].T, "bias")
