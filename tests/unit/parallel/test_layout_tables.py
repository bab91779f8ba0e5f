"""Each variable matches exactly one row for each of its axes."""

import math
from types import SimpleNamespace

import pytest

from llm_keras import config, models
from llm_keras.accounting import spread
from llm_keras.accounting.weights import weights
from llm_keras.errors import UserError
from llm_keras.layers.dimensions import DIMENSIONS
from llm_keras.parallel.layout_tables import TABLE, over_data, piece_bytes, spec_of

DEGREES = {"data": 2, "model": 4}


def variable(shape, *dimensions, **others):
    return SimpleNamespace(path="block/it", shape=shape, dimensions=dimensions, **others)


def test_every_dimension_that_layers_name_has_one_row():
    assert sorted(name for name, _ in TABLE) == sorted(DIMENSIONS)


def test_axes_lie_as_the_table_says():
    assert spec_of(variable((8, 16), "hidden", "feed_forward"), DEGREES) == (None, "model")
    assert spec_of(variable((40, 8), "vocabulary", "hidden"), DEGREES) == ("model", None)


@pytest.mark.parametrize(
    ("rows", "found"), [((), r"\[\]"), ((("hidden", "model"), ("hidden", None)), "'model', None")]
)
def test_no_row_or_two_are_an_error_that_names_the_variable(rows, found):
    with pytest.raises(ValueError, match=f"block/it: expected one row.*hidden, got .*{found}"):
        spec_of(variable((8,), "hidden"), DEGREES, rows)


def test_a_variable_without_names_is_an_error():
    with pytest.raises(ValueError, match="block/it: its layer names no dimensions"):
        spec_of(SimpleNamespace(path="block/it", shape=(8,)), DEGREES)


def test_two_dimensions_over_one_axis_are_an_error():
    with pytest.raises(ValueError, match="an axis can cut one of them"):
        spec_of(variable((8, 8), "vocabulary", "feed_forward"), DEGREES)


def test_what_does_not_divide_is_named_with_its_size_and_the_degree():
    with pytest.raises(UserError, match=r"vocabulary 42 cannot .*parallelism\.model 4 equal"):
        spec_of(variable((42, 8), "vocabulary", "hidden"), DEGREES)


def test_heads_stay_whole():
    with pytest.raises(UserError, match=r"key_value_heads 2 cannot be cut .*model 4 equal"):
        spec_of(
            variable((8, 16), "hidden", "key_value_heads", whole={"key_value_heads": 8}), DEGREES
        )


def test_one_piece_is_the_whole():
    """DTensor refuses to split an axis that lies over an axis of the mesh, be it of size 1."""
    kernel = variable((8, 16), "hidden", "key_value_heads")
    assert spec_of(kernel, {"data": 4, "model": 1}) == (None, None)
    assert over_data((None, None), (6, 8), 1) == (None, None)


def test_the_longest_axis_that_divides_is_cut_over_data_besides():
    assert over_data((None, "model"), (6, 8), 2) == ("data", "model")
    assert over_data((None, None), (6, 8), 2) == (None, "data")
    assert over_data((None, None), (6, 7), 2) == ("data", None)
    assert over_data((None,), (7,), 2) == (None,)
    assert over_data((), (), 2) == ()


def test_bytes_of_a_piece():
    assert piece_bytes(("data", "model"), (6, 8), 4, DEGREES) == 24
    assert piece_bytes((None,), (6,), 4, DEGREES) == 24


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        ({"model": 2}, "model 2 .* strategy mirrored keeps whole; set strategy to dtensor"),
        ({"shard_weights": "all"}, "shard_weights all cut matrices"),
        ({"strategy": "dtensor", "stage": 2}, "set stage to 1, or strategy to pipeline"),
    ],
)
def test_what_no_strategy_does_is_refused(settings, remedy):
    with pytest.raises(ValueError, match=remedy):
        config.Parallelism(**settings)


@pytest.mark.parametrize(
    ("settings", "most"),
    [
        ({}, 1.0),
        ({"kind": "encoder_decoder"}, 1.0),
        ({"experts": {"num_experts": 4, "experts_per_token": 2}}, 1.0),
        # Biases count as whole where they are planned; the table cuts some.
        ({"use_bias": True, "normalization": "layer_norm", "positions": "learned"}, 1.02),
    ],
)
def test_what_is_planned_for_a_device_is_what_the_table_gives_it(settings, most):
    """`accounting.spread` cannot import the table; here they meet."""
    shape = {"num_layers": 2, "hidden_dim": 32, "intermediate_dim": 64, "num_query_heads": 4}
    model = config.Model(num_key_value_heads=2, **shape, **settings)
    network = models.build_model(model, vocabulary_size=128, sequence_length=16)
    held = 0
    for each in network.trainable_variables:
        pieces = 2 if "model" in spec_of(each, {"model": 2}) else 1
        held += math.prod(each.shape) // pieces
    parallelism = config.Parallelism(strategy="dtensor", model=2)
    planned = sum(
        each.count * spread.weights_share(each, parallelism) for each in weights(model, 128, 16)
    )
    assert held <= planned <= held * most
