"""Trains the same steps on one device, and on two processes of two devices each.

`two_workers.py` starts the processes and prints what all measured as JSON; a process of its own,
because TensorFlow's devices cannot change once they exist.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np

from llm_keras import config, launching

STEPS, WORKERS, SPLIT = 6, 2, 2
MANY = config.Parallelism(
    strategy="multi_worker", data=WORKERS * SPLIT, split_cpu=SPLIT, stall_seconds=400
)
#: Kinds of network and what else differs.
WAYS = {
    "accumulation": ({}, {"gradient_accumulation_steps": 2, "skips_bad_steps": True}),
    "bfloat16": ({"dtype_policy": "mixed_bfloat16"}, {}),
    "encoder_decoder": ({"kind": "encoder_decoder"}, {"ema_decay": 0.5}),
}


def train(engine, network, arguments):
    """Logs of each step, validation and final weights."""
    import small

    make = small.make_pairs if network.get("kind") == "encoder_decoder" else small.make_batches

    def part_of(count, seed):
        def part(number, parts):
            rows = small.ROWS // parts

            def cut(batch):
                return {name: v[number * rows : (number + 1) * rows] for name, v in batch.items()}

            return make(count, seed=seed).map(cut)

        return part

    with engine.scope():
        trainer = small.make_trainer(small.make_network(**network), engine=engine, **arguments)
    endless = engine.dataset(lambda *part: part_of(STEPS, 0)(*part).repeat())
    log = small.Log()
    trainer.fit(endless, steps_per_epoch=STEPS, callbacks=[log], shuffle=False, verbose=0)
    if trainer.skips_bad_steps:  # One more that is, as its loss exceeds the limit.
        engine.assign(trainer.loss_limit, np.float32(0.1))
        before = [engine.value(variable) for variable in trainer.trainable_variables]
        trainer.fit(endless, steps_per_epoch=1, callbacks=[log], shuffle=False, verbose=0)
        after = [engine.value(variable) for variable in trainer.trainable_variables]
        assert log.values["applied"] == [1.0] * STEPS + [0.0]
        assert all(np.array_equal(*both) for both in zip(before, after, strict=True))
    judged = trainer.evaluate(engine.dataset(part_of(2, 1)), return_dict=True, verbose=0)
    weights = [engine.value(variable).ravel() for variable in trainer.trainable_variables]
    return {
        "loss": log.values["loss"],
        "tokens": log.values["tokens"],
        "grad_norm": log.values["grad_norm"],
        "judged": judged,
        "weights": np.concatenate(weights).tolist(),
    }


def work(settings, path):
    """What one process does."""
    from llm_keras.parallel import devices, engines

    devices.pin_threads()
    if settings.split_cpu > 1:
        devices.split_cpu(settings.split_cpu)
    engine = engines.from_config(settings)
    results = {name: train(engine, *way) for name, way in WAYS.items()}
    results["who"] = [engine.part, engine.parts, engine.is_chief]
    results["sum"] = engine.sum_over_processes(engine.part + 5)
    results["from_chief"] = engine.from_chief(engine.part + 5)
    results["any"] = [engine.any_process(engine.part == 1), engine.any_process(False)]
    Path(f"{path}-{engine.part}").write_text(json.dumps(results))
    os._exit(0)


if __name__ == "__main__":
    if len(sys.argv) == 2:
        command = [sys.executable, __file__, "many", sys.argv[1]]
        sys.exit(launching.launch(command, WORKERS, MANY))
    work(MANY if sys.argv[1] == "many" else config.Parallelism(), sys.argv[2])
