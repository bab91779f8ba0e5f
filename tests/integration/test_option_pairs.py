"""Every two options that a run file allows together: builds, learns, is saved, restored, exported.

The full product of the options has billions of combinations; almost every defect of a combination
is one of two options (Kuhn, Wallace and Gallo 2004). So a few dozen combinations are chosen such
that every two values of two options meet in one of them.
"""

import collections
import contextlib
import itertools
from typing import get_args

import numpy as np
import pytest
import tensorflow as tf
from pydantic import ValidationError

from llm_keras import config, models, tokenizers
from llm_keras.export import export_saved_model
from llm_keras.export.saved_model import in_float32
from llm_keras.generation import generate_text
from llm_keras.parallel.engine import Engine
from llm_keras.run_folder import RunFolder
from llm_keras.tokenizers.training import train as train_tokenizer
from llm_keras.training import checkpoints, recipe

PIECES, LENGTH, ROWS = 300, 12, 4
SCALING = {"low_frequency_factor": 1.0, "high_frequency_factor": 4.0}
EXPERTS = {"num_experts": 3, "load_balance_loss": 0.02}
#: Option -> its values, each a change of the section `model`; the first one fits all others.
MODEL = {
    "kind": [
        {},
        {"kind": "encoder_decoder"},
        {"kind": "encoder_decoder", "share_embeddings": False, "num_encoder_layers": 2},
        {"kind": "masked_lm"},
        {"kind": "masked_lm", "num_token_types": 2},
    ],
    "positions": [
        {},
        {"rope_pairing": "neighbours", "rope_max_wavelength": 500.0},
        {"rope_scaling": {"kind": "linear", "factor": 2.0}},
        {"rope_scaling": {"kind": "llama3", "original_sequence_length": 16, **SCALING}},
        {"positions": "learned"},
        {"positions": "sinusoidal"},
        {"positions": "sinusoidal", "sinusoidal_pairing": "halves"},
        {"positions": "alibi"},
        {"positions": "relative"},
        {"positions": "none"},
    ],
    "heads": [{}, {"num_key_value_heads": 2}, {"num_key_value_heads": 1, "head_dim": 6}],
    "activation": [
        {"activation": name}
        for name in ("swiglu", "geglu", "geglu_tanh", "gelu", "gelu_tanh", "relu")
    ],
    "experts": [
        {},
        {"experts": {**EXPERTS, "experts_per_token": 1, "capacity_factor": 1.0}},
        {"experts": {**EXPERTS, "experts_per_token": 2, "capacity_factor": None}},
    ],
    "normalization": [{}, {"normalization": "layer_norm", "normalization_epsilon": 1e-12}],
    "placement": [{}, {"norm_placement": "post"}, {"norm_placement": "post", "final_norm": True},
                  {"final_norm": False}],
    "embedding_norm": [{}, {"embedding_norm": True}],
    "biases": [
        {}, {"use_bias": True}, {"attention_bias": "query_key_value"}, {"attention_bias": "all"},
        {"use_bias": True, "attention_bias": "none"},
    ],
    "qk_norm": [{}, {"qk_norm": True}],
    "scores": [{}, {"attention_scale": 0.3, "attention_logit_cap": 4.0}],
    "output": [{}, {"output_logit_cap": 20.0}],
    "sliding_window": [{}, {"sliding_window": 5}],
    "tie_embeddings": [{}, {"tie_embeddings": False}],
    "scale_embeddings": [{}, {"scale_embeddings": True}, {"scale_embeddings": False}],
    "dropout": [{}, {"dropout": 0.1}],
    "initialization": [{"initializer_range": 0.1}, {"initialization": "glorot_uniform"},
                       {"initializer_range": 0.1, "mup_base_dim": 8}],
    "blocks": [{}, {"attention_block_length": 4}],
}  # fmt: skip
#: The same of the section `training`.
TRAINING = {
    "optimizer": [
        {"optimizer": {"kind": kind, "learning_rate": rate}}
        for kind, rate in (("adamw", 0.01), ("adafactor", 0.03), ("lion", 0.003), ("muon", 0.01))
    ],
    "clip_norm": [{}, {"optimizer": {"clip_norm": None}}],
    "schedule": [
        {"schedule": {"kind": kind, "warmup_steps": int(kind == "noam")}}
        for kind in ("cosine", "linear", "noam", "warmup_stable_decay", "constant")
    ],
    "accumulation": [{}, {"gradient_accumulation_steps": 2}],
    "rematerialization": [
        {}, {"rematerialization": "block"}, {"rematerialization": "attention"},
        {"rematerialization": "full"},
        {"rematerialization": "every_n", "rematerialization_blocks": 1},
    ],
    "precision": [{}, {"precision": "bfloat16"}, {"precision": "float16"}],
    "divergence": [{}, {"divergence": {"on_nan": "skip"}}],
    "loss": [{}, {"label_smoothing": 0.1, "z_loss": 1e-3}],
    "lora": [{}, {"lora": {"rank": 2, "targets": ("query", "key", "value", "output")}}],
    "ema_decay": [{}, {"ema_decay": 0.5}],
}  # fmt: skip
#: Option -> its values, by section and field.
TABLE = {
    option: [{f"{section}.{field}": value for field, value in change.items()} for change in changes]
    for section, table in (("model", MODEL), ("training", TRAINING))
    for option, changes in table.items()
}
TABLE["kind"][4]["training.masking"] = {"masked": 0.5, "random": 0.5}
#: What the combination of a row starts from.
BASE = {
    "model": {"num_layers": 1, "hidden_dim": 16, "intermediate_dim": 12, "num_query_heads": 4},
    "training": {
        "total_steps": 30, "global_batch_size": ROWS, "schedule": {"warmup_steps": 0},
    },
}  # fmt: skip


def run_of(row):
    """The run of a row of the table, option -> number of its value; the error if it is refused."""
    settings = {section: dict(base) for section, base in BASE.items()}
    for option, number in row.items():
        for path, value in TABLE[option][number].items():
            section, _, field = path.partition(".")
            old = settings[section].get(field)
            settings[section][field] = {**old, **value} if isinstance(old, dict) else value
    return _validate(**settings)


def _validate(model, training):
    return config.Run.model_validate(
        {
            "tokenizer": {"vocabulary_size": PIECES, "user_symbols": ("<mask>",)},
            "records": {"sequence_length": LENGTH},
            "generation": {"max_new_tokens": 3, "temperature": 0.0},
            "model": {**BASE["model"], **model},
            "training": {**BASE["training"], **training},
        }
    )


def is_allowed(row):
    """Whether a run file may say so."""
    try:
        run_of(row)
    except ValidationError:
        return False
    return True


def all_pairs(sizes, is_allowed):
    """Rows, option -> number of its value, in which every two allowed values meet.

    Greedy: a row begins with a pair that is still missing, and takes of each further option the
    value that adds most missing pairs; value 0 of an option must fit everything.
    """
    pairs = [
        frozenset({(a, x), (b, y)})
        for a, b in itertools.combinations(sizes, 2)
        for x in range(sizes[a])
        for y in range(sizes[b])
    ]
    missing = dict.fromkeys(pair for pair in pairs if is_allowed(dict(pair)))
    rows = []
    while missing:
        row = dict(next(iter(missing)))
        # The largest options first: of small ones there is a choice left at the end.
        for option in sorted(set(sizes) - set(row), key=lambda name: (-sizes[name], name)):
            gain = collections.Counter()
            for value in range(sizes[option]):
                new = (frozenset({(option, value), chosen}) for chosen in row.items())
                gain[value] = sum(pair in missing for pair in new)
            values = (value for value, _ in gain.most_common())
            row[option] = next((value for value in values if is_allowed({**row, option: value})), 0)
        for pair in itertools.combinations(row.items(), 2):
            missing.pop(frozenset(pair), None)
        rows.append(row)
    return rows


SIZES = {option: len(values) for option, values in TABLE.items()}
PAIRS = all_pairs(SIZES, is_allowed)
#: Rows that train in a graph, and rows of each kind that are exported.
IN_GRAPH = range(0, len(PAIRS), 12)
EXPORTED = (5, 17, 41)


#: Pairs of values that a run file refuses; all others are allowed, and so are tried.
REFUSED = {
    frozenset({("kind", 1), ("embedding_norm", 1)}),
    frozenset({("kind", 2), ("embedding_norm", 1)}),
    frozenset({("kind", 3), ("tie_embeddings", 1)}),
    frozenset({("kind", 4), ("tie_embeddings", 1)}),
    frozenset({("optimizer", 1), ("lora", 1)}),
}
#: What a run file refuses, with its reason, in the table's words or beyond them.
REFUSALS = [
    ({"kind": "encoder_decoder", "embedding_norm": True}, {}, "has no embedding_norm; remove it"),
    ({"kind": "masked_lm", "tie_embeddings": False}, {}, "predicts with its token embedding"),
    ({"num_encoder_layers": 2}, {}, "num_encoder_layers belongs to kind encoder_decoder"),
    ({"share_embeddings": False}, {}, "share_embeddings: false belongs to kind encoder_decoder"),
    ({"num_token_types": 2}, {}, "num_token_types belongs to kind masked_lm, not causal_lm"),
    ({"positions": "alibi", "rope_pairing": "neighbours"}, {}, "rope_pairing changes rotary"),
    ({"positions": "none", "rope_scaling": {"kind": "linear"}}, {}, "rope_scaling changes rotary"),
    ({"sinusoidal_pairing": "halves"}, {}, "sinusoidal_pairing changes sinusoidal positions"),
    ({"head_dim": 5}, {}, "turn pairs, but head_dim is 5; make it even"),
    ({"hidden_dim": 15, "num_query_heads": 3, "positions": "sinusoidal"}, {}, "even hidden_dim"),
    ({"num_query_heads": 3}, {}, "hidden_dim 16 is not a multiple of num_query_heads 3"),
    ({"num_key_value_heads": 3}, {}, "not a multiple of num_key_value_heads 3"),
    ({"experts": {"num_experts": 2, "experts_per_token": 3}}, {}, "3 exceeds num_experts 2"),
    ({"attention_block_length": 5}, {}, "sequence_length 12 is not a multiple of"),
    ({}, {"masking": {"fraction": 0.3}}, "belongs to a masked_lm, not a causal_lm; remove it"),
    ({"kind": "masked_lm"}, {"masking": {"masked": 0.8, "random": 0.3}}, "exceed 1 together"),
    ({}, {"lora": {}, "optimizer": {"kind": "adafactor"}}, "lora's begin at zero; choose another"),
    ({}, {"gradient_accumulation_steps": 3}, "global_batch_size 4 is not a multiple of"),
    ({}, {"schedule": {"kind": "noam", "warmup_steps": 0}}, "warmup_steps must be at least 1"),
    ({}, {"schedule": {"warmup_steps": 31}}, "warmup_steps 31 exceeds total_steps 30"),
]


def test_the_table_has_every_option():
    """Each field of both sections, and each name that a field may have, is in the table or here."""
    sizes = {"num_layers", "hidden_dim", "intermediate_dim", "num_query_heads"}
    when = {
        "total_steps", "global_batch_size", "validate_every_steps", "validation_rows",
        "checkpoint_every_steps", "keep_checkpoints", "keep_every_steps", "keep_best", "use_best",
        "tensorboard", "profile_steps",
    }  # fmt: skip
    devices = {"parallelism", "jit_compile"}  # tests/unit/parallel, tests/unit/training
    tried = [change for changes in TABLE.values() for change in changes]
    for section, fields, others in (
        ("model", config.Model.model_fields, sizes),
        ("training", config.Training.model_fields, when | devices),
    ):
        names = {path for change in tried for path in change if path.startswith(section)}
        assert names | {f"{section}.{name}" for name in others} == {
            f"{section}.{name}" for name in fields
        }
        for name, field in fields.items():
            choices = {choice for choice in get_args(field.annotation) if isinstance(choice, str)}
            values = [change.get(f"{section}.{name}", field.default) for change in tried]
            assert all(choice in values for choice in choices), name
    kinds = {change["optimizer"]["kind"] for change in TRAINING["optimizer"]}
    assert kinds == set(get_args(config.Optimizer.model_fields["kind"].annotation))
    kinds = {change["schedule"]["kind"] for change in TRAINING["schedule"]}
    assert kinds == set(get_args(config.Schedule.model_fields["kind"].annotation))


def test_every_allowed_pair_is_in_a_row():
    """And the pairs that are left out are those that a run file refuses."""
    found = {frozenset(pair) for row in PAIRS for pair in itertools.combinations(row.items(), 2)}
    wanted = {
        frozenset({(a, x), (b, y)})
        for a, b in itertools.combinations(SIZES, 2)
        for x in range(SIZES[a])
        for y in range(SIZES[b])
    }
    assert wanted - found == REFUSED
    assert not found & REFUSED
    assert all(set(row) == set(SIZES) for row in PAIRS)


def test_each_kind_is_exported():
    """However the rows change."""
    kinds = {run_of(PAIRS[number]).model.kind for number in EXPORTED}
    assert kinds == {"causal_lm", "encoder_decoder", "masked_lm"}


def test_pairs_of_small_tables():
    """Three options of two values need four rows, not eight; refused pairs come nowhere."""
    rows = all_pairs(dict.fromkeys("abc", 2), lambda row: True)
    assert len(rows) == 4
    rows = all_pairs(dict.fromkeys("abc", 2), lambda row: (row.get("a"), row.get("c")) != (1, 1))
    assert {(row["a"], row["b"]) for row in rows} == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert {(row["a"], row["c"]) for row in rows} == {(0, 0), (0, 1), (1, 0)}


@pytest.mark.parametrize(("model", "training", "message"), REFUSALS)
def test_refusals_say_why(model, training, message):
    """One line that names the option and the remedy."""
    with pytest.raises(ValidationError) as error:
        _validate(model, training)
    assert message in str(error.value)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run folder with a tokenizer in it."""
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    folder.tokenizer_model.parent.mkdir(parents=True)
    settings = run_of({}).tokenizer
    folder.tokenizer_model.write_bytes(train_tokenizer(["a few words to begin with"], settings))
    return folder


def _data(kind):
    """One batch for three steps, of four tokens in no order: the first thing to learn is these."""
    random = np.random.default_rng(1)
    tokens = random.integers(20, 24, [ROWS, LENGTH + 1])
    segments = np.ones_like(tokens)
    segments[0, 9:] = segments[1, 4:] = 0
    batch = {"tokens": tokens, "segments": segments}
    if kind == "encoder_decoder":
        batch |= {"source": tokens[:, 3:], "source_segments": segments[:, 3:]}
    else:
        segments[2, 6:] = 2  # another document
        batch["positions"] = np.where(segments == 2, np.arange(-6, LENGTH - 5), range(LENGTH + 1))
    batch = {name: part.astype("int32") for name, part in batch.items()}
    batch["rows"] = np.arange(ROWS)
    return tf.data.Dataset.from_tensors(batch).repeat(3)


def _state(trainer):
    averages = trainer.average.averages if trainer.average else []
    return [v.numpy() for v in (*trainer.variables, *trainer.optimizer.variables, *averages)]


def _loss(trainer, data):
    """Of the weights that are judged, without dropout, by the same masks each time."""
    return trainer.evaluate(data.take(1), verbose=0, return_dict=True)["loss"]


@pytest.mark.filterwarnings("ignore:5 out of the last:UserWarning")
@pytest.mark.parametrize("number", range(len(PAIRS)))
def test_combination(number, folder, tmp_path):
    """Three steps lower the loss; a checkpoint gives the training and the model back.

    Some train in a graph, and some others are exported: both take seconds.
    """
    run = run_of(PAIRS[number])
    data = _data(run.model.kind)
    trainer = recipe._trainer(run, folder, Engine())
    trainer.run_eagerly = number not in IN_GRAPH
    before = _loss(trainer, data)
    trainer.fit(data, shuffle=False, verbose=0)
    assert trainer.step == 3
    assert _loss(trainer, data) < before

    saved, again = RunFolder(tmp_path), recipe._trainer(run, folder, Engine())
    alpha = run.training.lora.alpha if run.training.lora else None
    facts = {"settings": {"training.lora.alpha": alpha}}
    checkpoints.save(saved.checkpoints, trainer, facts)
    checkpoints.restore(checkpoints.latest(saved.checkpoints), again)
    for old, new in zip(_state(trainer), _state(again), strict=True):
        np.testing.assert_array_equal(old, new)
    if number in EXPORTED or alpha or trainer.average:
        network = models.build(run)
        assert checkpoints.load_network(saved, network) == 3
        _assert_same_model(trainer, network, data)
    if number in EXPORTED:
        _export(network, folder.tokenizer_model, tmp_path / "export", run.generation)


def _assert_same_model(trainer, network, data):
    """Averages and additions are in the plain network's weights."""
    batch = next(iter(data))
    inputs = {name: batch[name] for name in ("source", "tokens", "segments") if name in batch}
    inputs = {name: part[:, :LENGTH] for name, part in inputs.items()}
    with trainer.average.in_place() if trainer.average else contextlib.nullcontext():
        expected = trainer.network(inputs).numpy()
    tolerance = 1e-4 if network.compute_dtype == "float32" else 0.05
    np.testing.assert_allclose(network(inputs), expected, atol=tolerance * abs(expected).max())


def _export(network, tokenizer_model, destination, generation):
    """The SavedModel answers as this process does."""
    tokenizer, texts = tokenizers.load(tokenizer_model), ["a few", "words"]
    version = export_saved_model(network, tokenizer_model, destination, generation)
    found = tf.saved_model.load(str(version)).signatures["serving_default"](tf.constant(texts))
    network = in_float32(network)
    if network.settings.kind == "masked_lm":
        ids = [[tokenizer.bos_id, *tokenizer.encode(text), tokenizer.eos_id] for text in texts]
        vectors = [network.sentence_vectors({"tokens": tf.constant([row])}) for row in ids]
        np.testing.assert_allclose(found["vectors"], tf.concat(vectors, axis=0), atol=1e-5)
    else:
        expected = generate_text(network, tokenizer, texts, generation)
        assert [text.decode() for text in found["text"].numpy()] == [row.text for row in expected]
