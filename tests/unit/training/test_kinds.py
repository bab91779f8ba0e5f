"""What each kind of model learns: its predictions, its loss and its shapes, through `fit`."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from llm_keras.training import objectives
from llm_keras.training.gradients import Learner

EXPERTS = {"num_experts": 4, "experts_per_token": 2, "capacity_factor": 1.0}


def cross_entropies(logits, targets):
    logits = np.asarray(logits, "float64")
    log_probabilities = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return -np.take_along_axis(log_probabilities, np.asarray(targets)[..., None], -1)[..., 0]


def repeated(data, steps=12):
    """The first batch of a dataset, again and again."""
    return data.take(1).repeat(steps).apply(tf.data.experimental.assert_cardinality(steps))


def with_answers(small, count):
    """Rows whose second half is the answer."""
    answers = np.zeros([small.ROWS, small.LENGTH + 1], "int32")
    answers[:, 7:] = 1
    return small.make_batches(count).map(lambda batch: {**batch, "answers": answers})


def one_bucket(small):
    """Pairs of one shape, which are quicker to trace."""
    return functools.partial(small.make_pairs, lengths=[(5, 8)])


@pytest.fixture(scope="module")
def translator(small):
    return small.make_trainer(small.make_network(kind="encoder_decoder", dropout=0.0))


@pytest.fixture(scope="module")
def guesser(small):
    return small.make_trainer(small.make_network(kind="masked_lm", dropout=0.0))


@pytest.fixture(scope="module")
def routed(small):
    return small.make_trainer(small.make_network(experts=EXPERTS))


def test_only_answers_are_learnt_and_judged(small):
    network = small.make_network(dropout=0.0)
    batch = next(with_answers(small, 1).as_numpy_iterator())
    logits = network({name: batch[name][:, :-1] for name in ("tokens", "segments")})
    same = batch["segments"][:, 1:] == batch["segments"][:, :-1]
    counted = same & (batch["segments"][:, 1:] != 0) & (batch["answers"][:, 1:] == 1)
    expected = cross_entropies(logits, batch["tokens"][:, 1:])[counted]
    trainer = small.make_trainer(network)
    judged = trainer.evaluate(with_answers(small, 1), return_dict=True, verbose=0)
    values = small.fit(trainer, with_answers(small, 1))
    assert 0 < len(expected) < same.size / 2
    assert values["tokens"] == [judged["tokens"]] == [len(expected)]
    assert values["loss"] == [pytest.approx(expected.mean(), rel=1e-6)]
    assert judged["loss"] == pytest.approx(expected.mean(), rel=1e-6)


def test_a_translation_is_learnt_from_both_sides(small, translator):
    """The loss is the cross-entropy of every real token of the target but the first."""
    batch = next(small.make_pairs(1).as_numpy_iterator())
    inputs = {"tokens": batch["tokens"][:, :-1], "segments": batch["segments"][:, :-1]}
    inputs |= {name: batch[name] for name in ("source", "source_segments")}
    logits = translator.network(inputs)
    counted = batch["segments"][:, 1:] == 1
    expected = cross_entropies(logits, batch["tokens"][:, 1:])[counted]
    judged = translator.evaluate(small.make_pairs(1), return_dict=True, verbose=0)
    assert judged["tokens"] == len(expected)
    assert judged["loss"] == pytest.approx(expected.mean(), rel=1e-6)
    losses = small.fit(translator, repeated(small.make_pairs(1)))["loss"]
    assert losses[0] == pytest.approx(expected.mean(), rel=1e-6)
    assert losses[-1] < losses[0] - 0.1


def test_batches_of_two_shapes_are_traced_once_each(small, translator, monkeypatch):
    traced, accumulate = [], Learner.accumulate

    def count(learner, batch, micro_batches):
        traced.append((batch["source"].shape[1], batch["tokens"].shape[1]))
        return accumulate(learner, batch, micro_batches)

    monkeypatch.setattr(Learner, "accumulate", count)
    trainer = small.make_trainer(translator.network)
    small.fit(trainer, small.make_pairs(6))
    assert traced == [(5, 9), (12, 7)]


def test_masked_tokens_are_guessed_from_what_is_shown(small, guesser):
    """Against the logits of every position of the whole network, at the hidden ones."""
    batch = next(small.make_batches(1).as_numpy_iterator())
    inputs = {name: batch[name][:, :-1] for name in ("tokens", "segments")}
    keys = tf.stack([tf.zeros([small.ROWS], tf.int32), tf.range(small.ROWS)], axis=1)
    hidden = guesser.masking(inputs["tokens"], inputs["segments"], keys)
    logits = guesser.network({**inputs, "tokens": hidden.tokens})
    expected = []
    for row in range(small.ROWS):
        places = hidden.places.numpy()[row][hidden.weights.numpy()[row] > 0]
        expected += list(cross_entropies(logits[row], inputs["tokens"][row])[places])
    judged = guesser.evaluate(small.make_batches(1), return_dict=True, verbose=0)
    assert judged["tokens"] == len(expected) >= small.ROWS
    assert judged["loss"] == pytest.approx(np.mean(expected), rel=1e-6)


def test_a_masked_lm_learns_and_is_judged_by_the_same_masks_each_time(small, guesser):
    before = guesser.evaluate(small.make_batches(2), return_dict=True, verbose=0)
    assert guesser.evaluate(small.make_batches(2), return_dict=True, verbose=0) == before
    data = small.make_batches(1).map(
        lambda batch: {**batch, "tokens": tf.ones_like(batch["tokens"]) * 7}
    )
    losses = small.fit(guesser, repeated(data))["loss"]
    assert losses[-1] < losses[0] - 0.5
    assert guesser.evaluate(small.make_batches(2), return_dict=True, verbose=0) != before


def test_masks_of_updates_differ(small, guesser):
    batch = next(iter(small.make_batches(1)))
    shown = []
    for update in (0, 1):
        keyed = guesser._with_key(batch, tf.constant(update, tf.int64))
        shown.append(guesser.learner.objective.examples(keyed).inputs["tokens"].numpy())
    assert (shown[0] != shown[1]).any()


def test_logits_are_made_of_hidden_tokens_only(small, guesser):
    examples = guesser.learner.objective.examples(
        guesser._with_key(next(iter(small.make_batches(1))), tf.constant(0, tf.int64))
    )
    most = round(0.15 * small.LENGTH)
    hidden = tf.zeros([small.ROWS, small.LENGTH, 16])
    assert examples.predicting(hidden).shape == (small.ROWS * most, 16)


def test_masking_belongs_to_a_masked_lm(small):
    with pytest.raises(ValueError, match="expected masking for a masked_lm and no other"):
        objectives.of(small.make_network(), small.make_masking())
    with pytest.raises(ValueError, match="expected masking for a masked_lm"):
        objectives.of(small.make_network(kind="masked_lm"))


@pytest.mark.parametrize("kind", ["causal_lm", "masked_lm"])
def test_the_gradient_with_experts_is_that_of_both_losses(small, kind):
    """Plain autodiff of cross-entropy + 0.01 load balance + 0.001 z, means over tokens."""
    network = small.make_network(kind=kind, dropout=0.0, experts=EXPERTS)
    masking = small.make_masking() if kind == "masked_lm" else None
    objective = objectives.of(network, masking)
    batch = dict(next(iter(small.make_batches(1))))
    batch["key"] = tf.stack([tf.ones([small.ROWS], tf.int32), tf.range(small.ROWS)], axis=1)
    loss = small.make_trainer(network).token_loss
    sums = Learner(network, objective, loss).differentiate(batch)
    examples = objective.examples(batch)
    with tf.GradientTape() as tape:
        hidden, router = network.forward(examples.inputs, dropout_key=batch["key"])
        logits = network.logits(examples.predicting(hidden))
        entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(examples.targets, logits)
        total = tf.reduce_sum(entropy * examples.weights)
        extra = 0.01 * router[0] + 0.001 * router[1]
        total += extra * (1.0 if masking is None else 0.15)
    plain = tape.gradient(total, [v.value for v in network.trainable_variables])
    dense = [tf.convert_to_tensor(gradient) for gradient in plain]
    for variable, found, expected in zip(
        network.trainable_variables, sums.gradients, dense, strict=True
    ):
        np.testing.assert_allclose(found, expected, atol=2e-5, err_msg=variable.path)
    np.testing.assert_allclose(sums.loss + sums.router_loss, total, rtol=1e-6)
    assert sums.dropped.numpy() == router[2].numpy() > 0


def test_experts_report_their_loss_and_what_they_dropped(small, routed):
    values = small.fit(routed, repeated(small.make_batches(1)))
    assert values["loss"][-1] < values["loss"][0]
    batch = next(small.make_batches(1).as_numpy_iterator())
    choices = (batch["segments"][:, :-1] != 0).sum() * EXPERTS["experts_per_token"]
    dropped = values["dropped_fraction"][0] * choices
    assert 0 < dropped < choices / 2
    assert dropped == pytest.approx(round(dropped), abs=1e-3)
    assert all(0.01 <= loss < 0.03 for loss in values["router_loss"])  # 0.01 if all is even


def test_micro_batches_of_experts_and_masks_learn_what_the_whole_batch_learns(small):
    for changes in ({"experts": EXPERTS}, {"kind": "masked_lm"}, {"kind": "encoder_decoder"}):
        make = one_bucket(small) if "encoder_decoder" in changes.values() else small.make_batches
        results = []
        for parts in (1, 4):
            trainer = small.make_trainer(
                small.make_network(**changes), gradient_accumulation_steps=parts
            )
            values = small.fit(trainer, make(4))
            weights = [v.numpy().ravel() for v in trainer.network.trainable_variables]
            results.append((values, np.concatenate(weights)))
        (one, weights), (four, others) = results
        assert one.keys() == four.keys()
        for name in one:
            np.testing.assert_allclose(four[name], one[name], rtol=1e-4, err_msg=name)
        assert np.linalg.norm(others - weights) <= 1e-5 * np.linalg.norm(weights)
