"""The head of a masked language model: precision, places, its weights."""

import numpy as np
import tensorflow as tf

from llm_keras.layers import MaskedLMHead, TokenEmbedding

X = np.random.default_rng(4).normal(size=[2, 5, 8]).astype("float32")


def _parts(dtype="float32"):
    embedding, head = TokenEmbedding(11, 8, dtype=dtype), MaskedLMHead(11, dtype=dtype)
    embedding.build()
    head.build((None, None, 8))
    return embedding, head


def test_some_places_give_what_all_give():
    """The loss asks for the masked places only: [N, D] as well as [B, T, D]."""
    embedding, head = _parts()
    whole = head(X, embedding=embedding)
    assert whole.shape == (2, 5, 11)
    rows = X.reshape(10, 8)[[7, 2]]
    few = head(rows, embedding=embedding)
    np.testing.assert_allclose(few, tf.reshape(whole, [10, 11]).numpy()[[7, 2]], atol=1e-6)


def test_logits_are_float32_in_mixed_precision():
    """And near those of float32."""
    (embedding, mixed), (_, exact) = _parts("mixed_bfloat16"), _parts()
    mixed.set_weights(exact.get_weights())
    logits = mixed(tf.cast(X, tf.bfloat16), embedding=embedding)
    assert logits.dtype == tf.float32
    single = TokenEmbedding(11, 8)
    single.build()
    single.set_weights(embedding.get_weights())
    expected = exact(X, embedding=single).numpy()
    assert abs(logits - expected).numpy().max() < 0.03 * abs(expected).max()


def test_the_embedding_is_no_weight_of_the_head():
    """It is the model's, and must not be saved or trained twice."""
    _, head = _parts()
    names = {weight.path.removeprefix(f"{head.name}/") for weight in head.weights}
    assert names == {
        "transform/kernel", "transform/bias", "norm/gamma", "norm/beta", "output_bias",
    }  # fmt: skip
