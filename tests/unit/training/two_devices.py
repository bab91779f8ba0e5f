"""Trains the same 20 steps on one device and on two, and prints losses and weights as JSON.

A process of its own, because TensorFlow's devices cannot change once they exist.
"""

import itertools
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import small
import tensorflow as tf

from llm_keras import config
from llm_keras.errors import UserError
from llm_keras.parallel import devices, engines, rematerialization
from llm_keras.training import checkpoint_files, checkpoints, loss_scale

STEPS = 20


#: Other kinds and parts, each trained on both numbers of devices.
WAYS = {
    "masked_lm": {"network": {"kind": "masked_lm"}, "optimizer": {"kind": "lion"}},
    "encoder_decoder": {"network": {"kind": "encoder_decoder"}, "optimizer": {"kind": "muon"}},
    "experts": {
        "network": {"experts": {"num_experts": 3, "capacity_factor": 1.0}},
        "optimizer": {"kind": "adafactor"},
        "ema_decay": 0.5,
    },
}
WAY_STEPS = 4


def train(replicas, resume_on=None, rematerialize=False, **arguments):
    """Losses of each step, gradient norms, validation and final weights."""
    engine = engines.from_config(config.Parallelism(data=replicas))
    with engine.scope():
        network = small.make_network()
        if rematerialize:
            network.run_blocks = rematerialization.around(network.run_blocks, "block")
        trainer = small.make_trainer(network, engine=engine, **arguments)
    data, log = small.make_batches(STEPS), small.Log()
    if resume_on is not None:
        trainer.fit(data.take(8), callbacks=[log], shuffle=False, verbose=0)
        with tempfile.TemporaryDirectory() as folder:
            checkpoints.save(Path(folder), trainer, {})
            engine = engines.from_config(config.Parallelism(data=resume_on))
            with engine.scope():
                trainer = small.make_trainer(engine=engine, **arguments)
            checkpoints.restore(checkpoint_files.newest(Path(folder))[0], trainer)
        data = data.skip(8)
    history = trainer.fit(
        data,
        validation_data=small.make_batches(3, seed=1),
        callbacks=[log],
        shuffle=False,
        verbose=0,
    )
    weights = [v.value.numpy().ravel() for v in trainer.network.trainable_variables]
    return {
        "loss": log.values["loss"],
        "grad_norm": log.values["grad_norm"],
        "val_loss": history.history["val_loss"],
        "val_tokens": history.history["val_tokens"],
        "weights": np.concatenate(weights).tolist(),
        "step": trainer.step,
    }


def train_way(replicas, network, **arguments):
    """Logs of each step, and at the end of training validation, weights and their means."""
    make = small.make_pairs if network.get("kind") == "encoder_decoder" else small.make_batches
    engine = engines.from_config(config.Parallelism(data=replicas))
    with engine.scope():
        trainer = small.make_trainer(small.make_network(**network), engine=engine, **arguments)
    logs = small.fit(trainer, make(WAY_STEPS))
    judged = trainer.evaluate(make(1, seed=1), return_dict=True, verbose=0)
    weights = [array.ravel() for array in small.state(trainer)]
    return {"logs": logs, "judged": judged, "state": np.concatenate(weights).tolist()}


def train_float16():
    """Logs of steps on one batch, of which the first ones overflow, and the weights' difference."""
    loss_scale.LARGEST_FACTOR = loss_scale.MOST
    engine = engines.from_config(config.Parallelism(data=2))
    with engine.scope():
        network = small.make_network("mixed_float16", dropout=0.0)
        trainer = small.make_trainer(network, engine=engine, gradient_accumulation_steps=2)
        trainer.loss_scale.variables[0].assign(2.0**22)
    logs = small.fit(trainer, small.make_batches(1).repeat(12))
    pieces = [engine.pieces(variable) for variable in small.variables(trainer)]
    return logs, max(float(abs(one - other).numpy().max()) for one, other in pieces)


def skip_one():
    """Two replicas, three steps, the loss of the second over the limit: what each step changed."""
    engine = engines.from_config(config.Parallelism(data=2))
    with engine.scope():
        trainer = small.make_trainer(engine=engine, skips_bad_steps=True, ema_decay=0.9)
    applied, pieces = [], []
    for seed, limit in enumerate((np.inf, 0.5, np.inf)):
        engine.assign(trainer.loss_limit, np.float32(limit))
        applied += small.fit(trainer, small.make_batches(1, seed))["applied"]
        variables = small.variables(trainer)
        pieces.append([[part.numpy() for part in engine.pieces(each)] for each in variables])
    changed = [
        sum(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))
        for before, after in itertools.pairwise(pieces)
    ]
    return {"applied": applied, "changed": changed, "count": trainer.step}


def too_many():
    """What is said when there are not enough devices."""
    try:
        engines.from_config(config.Parallelism(data=4))
    except UserError as error:
        return str(error)
    return None


if __name__ == "__main__":
    devices.pin_threads()
    devices.split_cpu(2)
    tf.get_logger().setLevel("ERROR")
    results = {
        "one": train(1),
        "two": train(2),
        "two, 4 micro-batches, recomputed": train(
            2, gradient_accumulation_steps=4, rematerialize=True
        ),
        "two, compiled": train(2, gradient_accumulation_steps=2, jit_compile=True),
        "two, then one": train(2, resume_on=1),
        "float16": train_float16(),
        "skipped": skip_one(),
        "too many": too_many(),
        "ways": {
            name: [train_way(replicas, **way) for replicas in (1, 2)] for name, way in WAYS.items()
        },
    }
    json.dump(results, sys.stdout)
