"""The normalizations against their papers' equations."""

import numpy as np
import pytest

from llm_keras.layers import LayerNorm, RMSNorm
from llm_keras.layers.normalization import normalization

X = np.random.default_rng(3).normal(size=[2, 3, 6]).astype("float32")


def test_rms_norm_equals_the_paper():
    """Zhang and Sennrich 2019, equation 4, with epsilon under the root."""
    layer = RMSNorm(epsilon=0.5)
    layer.build(X.shape)
    layer.scale.assign(np.arange(1, 7))
    expected = X / np.sqrt((X**2).mean(-1, keepdims=True) + 0.5) * np.arange(1, 7)
    np.testing.assert_allclose(layer(X), expected, rtol=1e-5)


def test_layer_norm_equals_the_paper():
    """Ba et al. 2016, equation 4, with epsilon under the root."""
    layer = LayerNorm(epsilon=0.5)
    layer.build(X.shape)
    layer.beta.assign(np.arange(6))
    centred = X - X.mean(-1, keepdims=True)
    expected = centred / np.sqrt(X.var(-1, keepdims=True) + 0.5) + np.arange(6)
    np.testing.assert_allclose(layer(X), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["rms_norm", "layer_norm"])
def test_statistics_are_float32_in_mixed_precision(kind):
    """A sum of 4,096 squares of 3 in bfloat16 would stop growing; the norm must come out right."""
    x = np.full([1, 4096], 3.0) * np.tile([1, -1], 2048)
    layer = normalization(kind, 1e-5, dtype="mixed_bfloat16")
    np.testing.assert_allclose(np.abs(np.asarray(layer(x), "float32")), 1.0, rtol=1e-2)


def test_unknown_normalization_is_refused():
    """The error lists the known ones."""
    with pytest.raises(ValueError, match=r"\('rms_norm', 'layer_norm'\), got 'batch_norm'"):
        normalization("batch_norm", 1e-5)
