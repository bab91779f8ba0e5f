"""Which variables are treated how, and each optimizer's updates against its paper in NumPy."""

import keras
import numpy as np
import pytest

from llm_keras import config, models
from llm_keras.training import muon, optimizers

RATES = np.array([0.025, 0.05, 0.075, 0.1])  # a warm-up of four steps to 0.1
KINDS = ("adamw", "adafactor", "lion", "muon")


def settings(**optimizer):
    return config.Training(
        total_steps=10,
        global_batch_size=2,
        schedule={"warmup_steps": 4},
        optimizer={"learning_rate": 0.1, "weight_decay": 0.5, "clip_norm": 1.0, **optimizer},
    )


def variable(shape, *dimensions, name="kernel"):
    random = np.random.default_rng(len(shape))
    made = keras.Variable(random.normal(size=shape).astype("float32"), name=name)
    made.dimensions = dimensions
    return made


def updates(variables, kind, width_multiplier=1.0, steps=3, **optimizer):
    """Applies random gradients; the clipped gradients of each step, in float64."""
    built = optimizers.build(settings(kind=kind, **optimizer), variables, width_multiplier)
    random, clipped = np.random.default_rng(1), []
    for _ in range(steps):
        gradients = [random.normal(size=v.shape) * 3 for v in variables]
        built.apply([keras.ops.convert_to_tensor(g, "float32") for g in gradients])
        norm = np.sqrt(sum((g**2).sum() for g in gradients))
        assert norm > 1.0
        clipped.append([g / norm for g in gradients])
    return clipped


def matrix_and_gain():
    """One variable that decays, and one that does not."""
    return [
        variable([4, 6], "hidden", "feed_forward"),
        variable([6], "feed_forward", name="scale"),
    ]


def assert_updates(kind, step, decays=(0.5, 0.0), **optimizer):
    """Three updates by `step(weights, gradient, rate, number, slots) -> weights` in float64."""
    variables = matrix_and_gain()
    weights = [v.numpy().astype("float64") for v in variables]
    slots = [{}, {}]
    for number, gradients in enumerate(updates(variables, kind, **optimizer), start=1):
        rate = RATES[number - 1]
        for i, decay in enumerate(decays):
            decayed = weights[i] * (1 - rate * decay)
            weights[i] = step(decayed, gradients[i], rate, number, slots[i])
    for found, expected in zip(variables, weights, strict=True):
        np.testing.assert_allclose(found.numpy(), expected, rtol=2e-5, atol=1e-6)


def adamw(weights, g, rate, step, slots, epsilon=1e-8):
    """Loshchilov and Hutter 2019, algorithm 2, the decay done before."""
    slots["m"] = 0.9 * slots.get("m", 0) + 0.1 * g
    slots["v"] = 0.95 * slots.get("v", 0) + 0.05 * g**2
    # Keras adds epsilon to the uncorrected root ("epsilon hat"); 1e-8 hides that.
    corrected = np.sqrt(slots["v"] / (1 - 0.95**step)) + epsilon
    return weights - rate * slots["m"] / (1 - 0.9**step) / corrected


def lion(weights, g, rate, _step, slots):
    """Chen et al. 2023, algorithm 2."""
    m = slots.get("m", np.zeros_like(g))
    slots["m"] = 0.95 * m + 0.05 * g
    return weights - rate * np.sign(0.9 * m + 0.1 * g)


def adafactor(weights, g, rate, step, slots):
    """Shazeer and Stern 2018, algorithms 4 and 5, in their own matrix notation."""
    beta, square = 1 - step**-0.8, g**2 + 1e-30
    if g.ndim == 2:
        n, m = g.shape
        slots["r"] = beta * slots.get("r", 0) + (1 - beta) * square @ np.ones(m)
        slots["c"] = beta * slots.get("c", 0) + (1 - beta) * np.ones(n) @ square
        second = np.outer(slots["r"], slots["c"]) / (np.ones(n) @ slots["r"])
    else:
        second = slots["v"] = beta * slots.get("v", 0) + (1 - beta) * square
    u = g / np.sqrt(second)
    u /= max(1, np.sqrt((u**2).mean()))
    return weights - rate * max(1e-3, np.sqrt((weights**2).mean())) * u


def quintic(x):
    """Jordan 2024, `zeropower_via_newtonschulz5`, on the singular values alone."""
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    s /= np.sqrt((s**2).sum())
    for _ in range(5):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    return u @ np.diag(s) @ vt


def muon_or_adamw(weights, g, rate, step, slots):
    """Muon for matrices at its own rate, with Nesterov momentum; AdamW for vectors."""
    if g.ndim == 1:
        return adamw(weights, g, rate, step, slots)
    slots["m"] = 0.8 * slots.get("m", 0) + g
    direction = quintic(g + 0.8 * slots["m"])
    return weights - rate / 0.1 * 0.3 * np.sqrt(max(1, g.shape[1] / g.shape[0])) * direction


def test_adamw_is_that_of_the_paper():
    assert_updates("adamw", adamw)


def test_lion_is_that_of_the_paper():
    assert_updates("lion", lion)


def test_adafactor_is_that_of_the_paper():
    assert_updates("adafactor", adafactor)


def test_muon_is_that_of_the_source():
    assert_updates("muon", muon_or_adamw, muon_momentum=0.8, muon_learning_rate=0.3)


def test_adafactor_follows_the_schedule_however_late_the_step():
    """Keras's own would take 1 / sqrt(step) where that is less."""
    matrix = variable([4, 6], "hidden", "feed_forward")
    built = optimizers.build(settings(kind="adafactor", weight_decay=0.0), [matrix])
    built.iterations.assign(9)  # the last step, at a tenth of the peak of 0.1
    built._learning_rate.peak = 50.0
    before = matrix.numpy()
    built.apply([keras.ops.ones([4, 6])])
    size = np.sqrt((before**2).mean())
    np.testing.assert_allclose(before - matrix.numpy(), 5.0 * size * np.ones([4, 6]), rtol=1e-5)


def test_adafactor_keeps_a_row_and_a_column_of_each_matrix():
    experts = variable([3, 4, 6], "experts", "hidden", "feed_forward")
    built = optimizers.build(settings(kind="adafactor"), [*matrix_and_gain(), experts])
    shapes = [tuple(slot.shape) for slot in built.variables]
    assert shapes == [(), (4,), (6,), (6,), (3, 4), (3, 6)]


@pytest.mark.parametrize("kind", ["adafactor", "muon"])
def test_the_matrices_of_experts_are_treated_one_by_one(kind):
    """Three experts at once, and each alone, without the clip and decay that join them."""
    free = {"clip_norm": None, "weight_decay": 0.0}
    together = variable([3, 4, 6], "experts", "hidden", "feed_forward")
    alone = [variable([4, 6], "hidden", "feed_forward") for _ in range(3)]
    size = np.sqrt((together.numpy() ** 2).mean())
    for matrix, whole in zip(alone, together.numpy(), strict=True):
        # One size for all experts, as Adafactor's step is in units of the whole variable.
        matrix.assign(whole / np.sqrt((whole**2).mean()) * size)
    together.assign(np.stack([matrix.numpy() for matrix in alone]))
    updates([together], kind, steps=1, **free)
    gradients = np.random.default_rng(1).normal(size=(3, 4, 6)) * 3
    for matrix, gradient, found in zip(alone, gradients, together.numpy(), strict=True):
        built = optimizers.build(settings(kind=kind, **free), [matrix])
        built.apply([keras.ops.convert_to_tensor(gradient, "float32")])
        limit = {"adafactor": 0.02, "muon": 1e-5}[kind]  # rms(U) is clipped over all experts
        np.testing.assert_allclose(found, matrix.numpy(), rtol=limit, atol=limit)


@pytest.mark.parametrize("shape", [(5, 30), (30, 5), (16, 16), (2, 7, 9)])
def test_an_orthogonal_update_keeps_the_directions_and_evens_out_their_sizes(shape):
    x = np.random.default_rng(0).normal(size=shape)
    u, _, vt = np.linalg.svd(x, full_matrices=False)
    update = muon.orthogonal(keras.ops.convert_to_tensor(x, "float32")).numpy()
    inner = np.swapaxes(u, -1, -2) @ update @ np.swapaxes(vt, -1, -2)
    sizes = np.diagonal(inner, axis1=-2, axis2=-1)
    assert sizes.min() > 0.3
    assert sizes.max() < 1.3
    np.testing.assert_allclose(inner, inner * np.eye(inner.shape[-1]), atol=1e-5)


def test_matrices_decay_and_nothing_else():
    decaying = [
        variable([2, 3], "hidden", "feed_forward"),
        variable([5, 3], "vocabulary", "hidden"),
        variable([2, 3, 4], "experts", "hidden", "feed_forward"),
    ]
    others = [
        variable([3], "hidden"),
        variable([3], "feed_forward", name="bias"),
        variable([2, 3], "experts", "feed_forward", name="up_bias"),
        variable([5, 3], "positions", "hidden"),
        variable([8, 2], "buckets", "query_heads"),
    ]
    assert all(map(optimizers.decays, decaying))
    assert not any(map(optimizers.decays, others))


def test_hidden_matrices_are_those_between_features():
    hidden = [
        variable([2, 3], "hidden", "feed_forward"),
        variable([2, 3], "query_heads", "hidden"),
        variable([2, 3, 4], "experts", "feed_forward", "hidden"),
        variable([2, 3], "hidden", "experts"),
    ]
    others = [
        variable([5, 3], "vocabulary", "hidden"),
        variable([3, 5], "hidden", "vocabulary"),
        variable([5, 3], "positions", "hidden"),
        variable([2, 3], "token_types", "hidden"),
        variable([3], "hidden", name="scale"),
    ]
    assert all(map(optimizers.is_hidden_matrix, hidden))
    assert not any(map(optimizers.is_hidden_matrix, others))


@pytest.mark.parametrize("kind", ["causal_lm", "encoder_decoder", "masked_lm"])
def test_the_variables_of_models_are_told_apart(kind):
    """By their paths: names of layers are API."""
    shape = {"num_layers": 1, "hidden_dim": 8, "intermediate_dim": 16, "num_query_heads": 2}
    parts = {"positions": "relative", "use_bias": True, "qk_norm": True}
    more = {"masked_lm": {"num_token_types": 2}, "causal_lm": {"experts": {"num_experts": 2}}}
    settings = config.Model(kind=kind, **shape, **parts, **more.get(kind, {}))
    network = models.build_model(settings, vocabulary_size=20, sequence_length=8)
    matrices = ("kernel", "/up", "/gate", "/down")
    for variable in network.variables:
        is_hidden = variable.path.endswith(matrices)
        assert optimizers.is_hidden_matrix(variable) == is_hidden, variable.path
        embedded = variable.path.endswith("embeddings") and "positions" not in variable.path
        assert optimizers.decays(variable) == (is_hidden or embedded), variable.path


@pytest.mark.parametrize(
    ("kind", "ratio"), [("adamw", 1 / 4), ("lion", 1 / 4), ("adafactor", 1 / 2), ("muon", 1.0)]
)
def test_mup_slows_hidden_matrices_by_the_width_and_nothing_else(kind, ratio):
    """Moves at four times the base width over moves at the base width; decay stays out of it."""

    def moves(width_multiplier, decay):
        variables = [*matrix_and_gain(), variable([5, 3], "vocabulary", "hidden")]
        before = [v.numpy() for v in variables]
        updates(variables, kind, width_multiplier, steps=1, weight_decay=decay)
        return [v.numpy() - b for v, b in zip(variables, before, strict=True)]

    wide, base = moves(4.0, 0.0), moves(1.0, 0.0)
    for found, expected, factor in zip(wide, base, (ratio, 1.0, 1.0), strict=True):
        np.testing.assert_allclose(found, expected * factor, rtol=1e-3, atol=1e-6)
    if kind != "adafactor":  # whose step is in units of the decayed weights
        decayed = [w - b for w, b in zip(moves(4.0, 0.5), wide, strict=True)]
        unscaled = [w - b for w, b in zip(moves(1.0, 0.5), base, strict=True)]
        for found, expected in zip(decayed, unscaled, strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_an_optimizer_survives_serialization(kind):
    optimizer = optimizers.build(settings(kind=kind), matrix_and_gain())
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(again) is type(optimizer)
    assert again.get_config() == optimizer.get_config()
    assert again.global_clipnorm == 1.0


def test_muon_keeps_one_slot_of_a_matrix_and_two_of_the_rest():
    built = optimizers.build(settings(kind="muon"), matrix_and_gain())
    assert [tuple(slot.shape) for slot in built.variables] == [(), (4, 6), (6,), (6,)]
