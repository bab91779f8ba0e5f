"""Initial weights: deterministic by seed and name, with the documented spread."""

import keras
import numpy as np
import pytest

from llm_keras import config, models

SHAPE = config.Model(
    num_layers=3, hidden_dim=64, intermediate_dim=128, num_query_heads=4, initializer_range=0.05
)


def _model(shape=SHAPE, seed=1, vocabulary_size=300):
    return models.build_model(shape, vocabulary_size=vocabulary_size, sequence_length=16, seed=seed)


def _weights(model):
    return {weight.path: weight.numpy() for weight in model.weights}


def test_paths_and_values_do_not_depend_on_what_was_built_before():
    """A second model of a process has the names and the values of the first."""
    first = _weights(_model())
    keras.layers.Dense(3).build((2, 2))  # moves Keras's counters and its random state
    second = _weights(_model())
    assert first.keys() == second.keys()
    for path, value in first.items():
        np.testing.assert_array_equal(value, second[path], err_msg=path)


def test_names_are_as_documented():
    """Checkpoints, layouts and imports rely on these paths."""
    paths = list(_weights(_model()))
    assert paths[0] == "causal_lm/embedding/embeddings"
    assert paths[1:9] == [
        f"causal_lm/block_0/{name}"
        for name in (
            "attention_norm/scale", "attention/query/kernel", "attention/key/kernel",
            "attention/value/kernel", "attention/output/kernel", "feed_forward_norm/scale",
            "feed_forward/up/kernel", "feed_forward/gate/kernel",
        )
    ]  # fmt: skip
    assert paths[-1] == "causal_lm/final_norm/scale"


def test_seed_and_name_decide():
    """Another seed changes every matrix; no two matrices of one model are alike."""
    first, second = _weights(_model()), _weights(_model(seed=2))
    matrices = {path: value for path, value in first.items() if value.ndim == 2}
    for path, value in matrices.items():
        assert not np.array_equal(value, second[path]), path
    assert len({value.ravel()[:8].tobytes() for value in matrices.values()}) == len(matrices)


def test_a_deeper_model_starts_with_the_same_blocks():
    """Values do not depend on how many layers follow, but for the scale of residual outputs."""
    deeper = _weights(_model(SHAPE.model_copy(update={"num_layers": 5})))
    for path, value in _weights(_model()).items():
        scale = np.sqrt(3 / 5) if path.endswith(("output/kernel", "down/kernel")) else 1.0
        np.testing.assert_allclose(value * scale, deeper[path], rtol=1e-6, err_msg=path)


def test_spread_is_as_documented():
    """Standard deviations within 4 standard errors; gains are 1 and biases 0."""
    shape = SHAPE.model_copy(update={"use_bias": True, "normalization": "layer_norm"})
    for path, value in _weights(_model(shape)).items():
        if path.endswith(("bias", "beta")):
            assert not value.any()
        elif path.endswith("gamma"):
            assert (value == 1).all()
        else:
            residual = path.endswith(("attention/output/kernel", "feed_forward/down/kernel"))
            expected = 0.05 / np.sqrt(6) if residual else 0.05
            error = 4 / np.sqrt(2 * value.size)
            assert value.std() == pytest.approx(expected, rel=error), path
            assert abs(value.mean()) < 4 * expected / np.sqrt(value.size), path


def test_parts_may_be_built_before_on_their_devices():
    """Pipeline stages place their parts first; names and values stay the same."""
    placed = models.CausalLM(SHAPE, vocabulary_size=300, sequence_length=16, seed=1)
    kept = []
    for part in reversed(placed.blocks):
        part.build((None, None, 64))
        kept.append(part.attention.query.kernel)
    placed.build()
    assert kept[-1] is placed.blocks[0].attention.query.kernel
    built = _weights(_model())
    # A part that is built alone does not know the model's name.
    values = {path.removeprefix("causal_lm/"): value for path, value in _weights(placed).items()}
    for path, value in built.items():
        np.testing.assert_array_equal(value, values[path.removeprefix("causal_lm/")])
