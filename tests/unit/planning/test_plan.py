"""The plan of a run: tokens, computation, memory, hours, and that it needs no TensorFlow."""

import gzip
import json
import subprocess
import sys

import pytest

from llm_keras import planning
from llm_keras.accounting.flops import flops_per_token, recomputed_flops_per_token
from llm_keras.planning import memory
from llm_keras.planning.memory import activation_bytes, training_bytes
from llm_keras.run_folder import RunFolder


def test_needs_no_tensorflow():
    """Importing planning and the settings loads neither TensorFlow, Keras nor NumPy."""
    code = (
        "import sys, llm_keras.planning;"
        "print(sorted({'tensorflow', 'keras', 'numpy'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_flops_count_the_graph(make_run):
    """``6 P + 12 L N H T``, checked against the products that the model really makes."""
    import tensorflow as tf

    from llm_keras import models

    run = make_run({"tie_embeddings": False, "num_key_value_heads": 2})
    model = models.build_model(run.model, vocabulary_size=400, sequence_length=32)

    @tf.function(autograph=False)
    def step(tokens):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model({"tokens": tokens}) ** 2)
        return tape.gradient(loss, [weight.value for weight in model.trainable_variables])

    graph = step.get_concrete_function(tf.TensorSpec([2, 32], tf.int32)).graph
    counted = sum(_product_flops(op) for op in graph.get_operations())
    assert counted == 2 * 32 * flops_per_token(run.model, 400, 32) - _norm_flops(run)


def _product_flops(op):
    if op.type not in {"MatMul", "BatchMatMulV2"}:
        return 0
    left, out = op.inputs[0].shape, op.outputs[0].shape
    transposed = op.get_attr("transpose_a" if op.type == "MatMul" else "adj_x")
    return 2 * out.num_elements() * left[-2 if transposed else -1]


def _norm_flops(run):
    """Norms are counted with the matrices in the plan, but are no products in the graph."""
    norms = planning.parameter_counts(run.model, 400, 32)["norms"]
    return 2 * 32 * 6 * norms


def test_each_rematerialization_keeps_less_and_computes_more(make_run):
    """Of nine blocks; what `full` saves over `block` shows in deep models."""
    kinds = ("none", "attention", "block", "full")
    runs = [make_run({"num_layers": 9}, {"rematerialization": kind}) for kind in kinds]
    kept = [activation_bytes(run) for run in runs]
    assert kept == sorted(kept, reverse=True)
    assert len(set(kept)) == 4
    assert kept[-1] < 0.35 * kept[0]
    flops = [recomputed_flops_per_token(run) for run in runs]
    assert flops == sorted(flops)
    assert flops[3] == 2 * flops[2] > flops[1] > flops[0] == 0
    groups = [
        make_run(
            {"num_layers": 9}, {"rematerialization": "every_n", "rematerialization_blocks": number}
        )
        for number in (1, 3)
    ]
    assert activation_bytes(groups[0]) == kept[2] < activation_bytes(groups[1]) < kept[1]
    assert recomputed_flops_per_token(groups[1]) == flops[2]


def test_recomputation_adds_the_blocks_forward_pass(make_run):
    """A third of what forward and backward of the blocks take; nothing without it."""
    again = make_run(training={"rematerialization": "block"})
    assert recomputed_flops_per_token(make_run()) == 0
    whole = flops_per_token(again.model, 0, 32)
    assert recomputed_flops_per_token(again) == whole // 3


def test_tokens_are_estimated_from_the_sources(make_run):
    """8,000 bytes, a quarter held out, 4 bytes a token; and the origin says that it is a guess."""
    plan = planning.plan(make_run())
    assert plan.tokens.count == 8_000 * 0.75 / 4
    assert "estimated: 4 bytes" in plan.tokens.origin


def test_compressed_sources_count_threefold(make_run, tmp_path):
    """Their text is larger than their files."""
    path = tmp_path / "texts" / "three.jsonl.gz"
    path.write_bytes(gzip.compress(b"y" * 100_000))
    added = planning.plan(make_run()).tokens.count - 1_500
    assert added == pytest.approx(3 * path.stat().st_size * 0.75 / 4, abs=1)


def test_of_pairs_the_translations_are_estimated(make_run, tmp_path):
    """A token of a plan is one of the target with one of the source."""
    (tmp_path / "es").mkdir()
    (tmp_path / "es" / "one.txt").write_bytes(b"y" * 4_000)
    source = {
        "name": "pairs",
        "kind": "parallel",
        "path": str(tmp_path / "texts"),
        "target_path": str(tmp_path / "es"),
    }
    run = make_run({"kind": "encoder_decoder"}, corpus={"sources": [source]})
    assert planning.plan(run).tokens.count == 4_000 * 0.75 / 4


def test_tokens_are_counted_where_there_is_a_manifest(make_run, tmp_path):
    """The manifest's figure wins, and the origin names the file."""
    folder = RunFolder(tmp_path / "run")
    folder.corpus.mkdir(parents=True)
    folder.manifest.write_text(json.dumps({"splits": {"train": {"tokens": 12_800}}}))
    plan = planning.plan(make_run(), folder)
    assert plan.tokens.count == 12_800
    assert plan.tokens.origin == f"counted in {folder.manifest}"
    assert plan.epochs == 100 * 8 * 32 / 12_800


def test_missing_sources_are_said(make_run, tmp_path):
    """No guess is made from nothing."""
    source = {"name": "none", "kind": "text", "path": str(tmp_path / "nowhere")}
    plan = planning.plan(make_run(corpus={"sources": [source]}))
    assert plan.tokens.count is None
    assert plan.epochs is None
    assert any("unknown (no source file was found)" in line for line in plan.lines())


def test_hours_follow_from_the_speed(make_run):
    """FLOPs of all planned tokens, by the speed; unknown without one."""
    run = make_run()
    plan = planning.plan(run, None, 1e9)
    tokens = 100 * 8 * 32
    assert plan.hours == pytest.approx(tokens * flops_per_token(run.model, 400, 32) / 1e9 / 3600)
    assert planning.plan(run).hours is None
    assert any("give --flops or --calibrate" in line for line in planning.plan(run).lines())


def test_memory_of_the_state(make_run):
    """Four bytes a weight, as many a gradient, twice as many for the slots of AdamW."""
    run = make_run()
    weights = 4 * planning.plan(run).total_parameters
    memory = training_bytes(run)
    assert memory["weights"] == memory["gradients"] == weights
    assert memory["slots"] == 2 * weights
    accumulating = make_run(training={"gradient_accumulation_steps": 2})
    assert training_bytes(accumulating)["gradients"] == 2 * weights


@pytest.mark.parametrize(
    ("parallelism", "weights", "slots"),
    [
        ({"data": 2}, 1, 1),
        ({"strategy": "dtensor", "data": 2, "shard_weights": "slots"}, 1, 1 / 2),
        ({"strategy": "dtensor", "data": 2, "shard_weights": "all"}, 1 / 2, 1 / 2),
        ({"strategy": "pipeline", "stage": 2}, 1 / 2, 1 / 2),
    ],
)
def test_memory_of_one_of_several_devices(make_run, parallelism, weights, slots):
    one, spread = (
        training_bytes(make_run(training={"parallelism": given})) for given in ({}, parallelism)
    )
    assert spread["weights"] == pytest.approx(weights * one["weights"], abs=1)
    assert spread["slots"] == pytest.approx(slots * one["slots"], abs=1)


def test_a_mesh_cuts_matrices_and_no_norms(make_run):
    """Half of all but the gains of five norms: two a block, and the last."""
    one, two = (
        training_bytes(make_run(training={"parallelism": {"strategy": "dtensor", "model": model}}))
        for model in (1, 2)
    )
    gains = 4 * 5 * make_run().model.hidden_dim
    assert two["weights"] == (one["weights"] - gains) / 2 + gains
    assert two["activations"] < one["activations"]


def test_activations_shrink_as_they_should(make_run):
    """Smaller micro-batches, more replicas, bfloat16 and rematerialization all save."""
    whole = activation_bytes(make_run())
    assert activation_bytes(make_run(training={"gradient_accumulation_steps": 4})) == whole / 4
    assert activation_bytes(make_run(training={"parallelism": {"data": 2}})) == whole / 2
    assert activation_bytes(make_run(training={"precision": "bfloat16"})) < whole
    one, four = make_run(), make_run({"num_layers": 4})
    assert activation_bytes(four) == 2 * activation_bytes(one)
    recomputing = make_run({"num_layers": 4}, {"rematerialization": "block"})
    assert activation_bytes(recomputing) < activation_bytes(four) / 2


def test_attention_is_planned_as_it_is_computed(make_run):
    """Blocks of the same length as the attention core's; a long row keeps no probabilities."""
    from llm_keras.layers import attention_core

    shape = make_run().model
    assert (memory.BLOCKS, memory.KEPT_LENGTH) == (
        attention_core.BLOCKS,
        attention_core.KEPT_LENGTH,
    )
    for length in (64, 256, 1024, 4096):
        chosen = attention_core.choose_block(length, causal=True, window=None)
        assert memory.attention_block(shape, length) == (chosen or length)
    long, longer = (
        activation_bytes(make_run(records={"sequence_length": length})) for length in (2048, 4096)
    )
    assert longer == 2 * long


def test_lines_are_for_people(make_run):
    """Sections with their figures, numbers with separators and units."""
    lines = planning.plan(make_run(), None, 2e9).lines()
    assert lines[0] == "parameters"
    assert "  token_embedding       6,400" in lines
    assert "  available             1,500 (estimated: 4 bytes of source text a token," in "\n".join(
        lines
    )
    assert any(line.startswith("  weights ") and line.endswith("KiB") for line in lines)
    assert lines[-1].endswith("at 2 GFLOP/s")


def test_calibration_measures_something(make_run, monkeypatch):
    """A positive speed, half of that of the run's own product."""
    from llm_keras.planning import calibration

    monkeypatch.setattr(calibration, "MEASURED_SECONDS", 0.05)
    assert 1e6 < planning.calibrate(make_run()) < 1e15
    assert 1e6 < planning.calibrate() < 1e15


def test_calibration_without_tensorflow_says_what_to_do(monkeypatch):
    """The base installation has no TensorFlow."""
    from llm_keras.errors import UserError

    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(UserError, match=r"install llm-keras\[train\], or give --flops"):
        planning.calibrate()
