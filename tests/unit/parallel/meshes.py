"""Trains small networks on one device and on meshes of four, and prints what came out as JSON.

A process of its own, because TensorFlow's devices cannot change once they exist.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tensorflow as tf

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))

import small

from llm_keras import config
from llm_keras.errors import DivergedError, UserError
from llm_keras.parallel import devices, engines, rematerialization
from llm_keras.parallel.engine import Engine
from llm_keras.training import checkpoint_files, checkpoints, lora

STEPS = 10
DECODER = {"num_query_heads": 4, "tie_embeddings": False, "output_logit_cap": 8.0}
LOSS = {"label_smoothing": 0.1, "z_loss": 1e-3}
#: Data, model, what is cut over data besides.
MESHES = [(2, 1, "slots"), (1, 4, "none"), (4, 1, "all"), (2, 2, "all")]
#: Other kinds and parts, each trained on one device and on 2 x 2 with everything cut.
WAYS = {
    "masked_lm": {
        "network": {"kind": "masked_lm", "positions": "relative"},
        "optimizer": {"kind": "lion"},
    },
    "encoder_decoder": {
        "network": {"kind": "encoder_decoder", "use_bias": True},
    },
    "experts": {
        "network": {"experts": {"num_experts": 3, "capacity_factor": 1.0}},
        "optimizer": {"kind": "adafactor"},
        "ema_decay": 0.5,
    },
    "grouped heads, accumulation": {
        "network": {"num_key_value_heads": 2},
        "gradient_accumulation_steps": 2,
        "skips_bad_steps": True,
    },
    "recomputed": {"network": {"num_layers": 2}, "recompute": "block"},
    "lora": {"network": {"positions": "alibi", "dropout": 0.0}, "lora": True},
}


def on(data, model, sharded="none"):
    return engines.from_config(
        config.Parallelism(strategy="dtensor", data=data, model=model, shard_weights=sharded)
    )


def make(engine, network, recompute="none", lora_too=False, **arguments):
    network = small.make_network(**{"num_query_heads": 4, **network})
    network.run_blocks = rematerialization.around(network.run_blocks, recompute)
    if lora_too:
        lora.add(network, config.Lora(rank=2), seed=0)
    return small.make_trainer(network, engine=engine, **arguments)


def train(engine, network, steps=STEPS, **arguments):
    """Logs of each step, validation, and all that was learnt."""
    start = time.monotonic()
    trainer = make(engine, network, lora_too=arguments.pop("lora", False), **arguments)
    batches = small.make_pairs if network.get("kind") == "encoder_decoder" else small.make_batches
    log = small.Log()
    history = trainer.fit(
        batches(steps),
        validation_data=batches(2, seed=1),
        callbacks=[log],
        shuffle=False,
        verbose=0,
    )
    return trainer, {
        "logs": dict(log.values),
        "judged": [history.history["val_loss"], history.history["val_tokens"]],
        "state": np.concatenate(
            [engine.value(v).ravel() for v in small.variables(trainer)]
        ).tolist(),
        "seconds": time.monotonic() - start,
    }


def placed(trainer, expected):
    """How weights and slots lie, and their bytes on each device, found and expected."""
    engine, weights = trainer.engine, trainer.network.variables
    slots = [slot for slot in trainer.optimizer.variables if len(slot.shape)]
    return {
        "layouts": engine.layouts(weights),
        "slots": engine.layouts(slots),
        "weight_bytes": [engine.held(weights), expected[0]],
        "slot_bytes": [engine.held(slots), 2 * expected[1]],
        "whole_bytes": sum(4 * int(np.prod(v.shape)) for v in weights),
    }


def elastic(trainers):
    """Losses of two more steps on 2 x 2, and where a checkpoint takes it from there."""
    more, found = small.make_batches(2, seed=2), {}
    with tempfile.TemporaryDirectory() as folder:
        checkpoints.save(Path(folder), trainers["2x2 all"], {})
        for name in ("2x2 all", "1x4 none", "one"):
            checkpoints.restore(checkpoint_files.newest(Path(folder))[0], trainers[name])
            found[name] = small.fit(trainers[name], more)["loss"]
    return found


def diverge(trainer):
    """What is said of a loss that is not finite, and whether the state is as it was."""
    engine, (weight, *_) = trainer.engine, trainer.network.trainable_variables
    engine.assign(weight, np.full(weight.shape, np.nan))
    slots = [engine.value(slot) for slot in trainer.optimizer.variables]
    try:
        small.fit(trainer, small.make_batches(1))
    except DivergedError as error:
        after = [engine.value(slot) for slot in trainer.optimizer.variables]
        return str(error), all(map(np.array_equal, slots, after))
    return None


def refused(call):
    try:
        call()
    except UserError as error:
        return str(error)
    return None


if __name__ == "__main__":
    devices.pin_threads()
    devices.split_cpu(4)
    tf.get_logger().setLevel("ERROR")
    trainers, results = {}, {"meshes": {}, "placed": {}, "ways": {}}
    trainers["one"], results["one"] = train(Engine(), DECODER, **LOSS)
    for mesh in MESHES:
        name = f"{mesh[0]}x{mesh[1]} {mesh[2]}"
        expected = on(*mesh).predicted_bytes(small.make_network(**DECODER).variables)
        trainers[name], results["meshes"][name] = train(on(*mesh), DECODER, **LOSS)
        results["placed"][name] = placed(trainers[name], expected)
    results["elastic"] = elastic(trainers)
    last = trainers["2x2 all"]
    weights = last.get_weights()  # as Keras's callbacks do
    last.set_weights([2 * weight for weight in weights])
    results["doubled"] = [
        bool(np.array_equal(2 * old, new))
        for old, new in zip(weights, last.get_weights(), strict=True)
    ]
    results["diverged"] = diverge(last)
    for name, way in WAYS.items():
        engines_of_way = (Engine(), on(2, 2, "all"))
        results["ways"][name] = [train(engine, steps=4, **way)[1] for engine in engines_of_way]
    odd = small.make_network(num_query_heads=2)
    results["refused"] = refused(lambda: small.make_trainer(odd, engine=on(1, 4)))
    json.dump(results, sys.stdout)
