"""Trains the same steps on one device and on stages, and prints what came out as JSON.

A process of its own, because TensorFlow's devices cannot change once they exist.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
import small

from llm_keras import config
from llm_keras.errors import UserError
from llm_keras.parallel import devices, engines, rematerialization
from llm_keras.parallel.pipeline import Pipeline
from llm_keras.training import checkpoint_files, checkpoints, lora

STEPS = 4
ONE = {"parallelism": {}}


def stages(number, strategy="pipeline", data=1, micro=1, schedule="1f1b"):
    """How to train: settings of the engine and of the trainer."""
    return {
        "parallelism": {"strategy": strategy, "stage": number, "data": data, "schedule": schedule},
        "gradient_accumulation_steps": micro,
    }


#: Models, and the ways in which each is trained: those of one device first. A way of two parts goes
#: from the first to the second by a checkpoint.
MODELS = {
    "tied": (
        {"network": {"num_layers": 2}},
        {
            "one": [ONE],
            "4 stages x 8 gpipe, then one device": [stages(4, micro=8, schedule="gpipe"), ONE],
            "one device, then 2 stages x 4 1f1b": [ONE, stages(2, micro=4)],
            "2 stages x 2 data x 2": [stages(2, data=2, micro=2)],
            "layers on 2 devices, 2 micro-batches": [stages(2, "layers", micro=2)],
        },
    ),
    "encoder-decoder": (
        {
            "network": {
                "kind": "encoder_decoder",
                "num_layers": 1,
                "num_encoder_layers": 1,
                "tie_embeddings": False,
                "positions": "relative",
            },
            "optimizer": {"kind": "lion"},
            "ema_decay": 0.5,
        },
        {"one": [ONE], "4 stages x 2 1f1b": [stages(4, micro=2)]},
    ),
    "experts": (
        {
            "network": {"num_layers": 2, "experts": {"num_experts": 3}, "dropout": 0.0},
            "optimizer": {"kind": "muon"},
            "recomputed": True,
            "skips_bad_steps": True,
        },
        {"one": [ONE], "2 stages x 2 gpipe": [stages(2, micro=2, schedule="gpipe")]},
    ),
    "low rank": (
        {"network": {"kind": "masked_lm", "num_layers": 1}, "lora": True},
        {"one": [ONE], "2 stages x 1": [stages(2)]},
    ),
}


#: Ways by model whose trainers also evaluate and predict, which takes two more traces.
JUDGED = {
    "tied": ("one", "2 stages x 2 data x 2", "layers on 2 devices, 2 micro-batches"),
    "encoder-decoder": ("one", "4 stages x 2 1f1b"),
    "experts": (),
    "low rank": (),
}


def make(way, network, lora=False, recomputed=False, **arguments):
    """A trainer, on the devices of the way."""
    parallelism = config.Parallelism(**way["parallelism"])
    engine = engines.from_config(parallelism)
    with engine.scope():
        model = small.make_network(**network)
        if lora:
            add_low_rank(model)
        if recomputed:
            settings = config.Training(
                total_steps=1,
                global_batch_size=8,
                schedule={"warmup_steps": 1},
                rematerialization="block",
            )
            rematerialization.install(model, settings)
        micro = way.get("gradient_accumulation_steps", 1)
        return small.make_trainer(
            model, engine=engine, gradient_accumulation_steps=micro, **arguments
        )


def add_low_rank(model):
    lora.add(model, config.Lora(rank=2), seed=3)


def train(ways, trainers, folder, judges, network, **arguments):
    """Logs of each step, validation and predictions, the state, and bytes on each device.

    Args:
        ways: One after the other, each for its part of the steps.
        trainers: Of this model by way, to be used again, since tracing takes most of the time.
        folder: Of this model, for checkpoints; each way begins at that of the initial state.
        judges: Whether to evaluate and predict.
        network: The model's settings.
        arguments: Of `make`.
    """
    pairs = network.get("kind") == "encoder_decoder"
    data = small.make_pairs(STEPS, lengths=((8, 6),)) if pairs else small.make_batches(STEPS)
    judged = small.make_pairs(1, 1, ((8, 6),)) if pairs else small.make_batches(1, seed=1)
    logs, each, report = {}, STEPS // len(ways), []
    states = Path(tempfile.mkdtemp(dir=folder))
    for number, way in enumerate(ways):
        if json.dumps(way) not in trainers:
            trainers[json.dumps(way)] = make(way, network, **arguments)
        trainer = trainers[json.dumps(way)]
        if not (folder / "start").exists():
            checkpoints.save(folder / "start", trainer, {})
        before = states if number else folder / "start"
        checkpoints.restore(checkpoint_files.newest(before)[0], trainer)
        for name, values in small.fit(trainer, data.skip(number * each).take(each)).items():
            logs.setdefault(name, []).extend(float(value) for value in values)
        checkpoints.save(states, trainer, {})
        engine = trainer.engine
        report += engine.report(trainer.network.variables, trainer.optimizer.variables)
    state = [engine.value(variable).ravel() for variable in small.variables(trainer)]
    slots = [slot for slot in trainer.optimizer.variables if len(slot.shape)]
    averages = trainer.average.averages if trainer.average else []
    found = {}
    if judges:
        batch = next(iter(judged))
        inputs = {name: value for name, value in batch.items() if name != "rows"}
        found["validation"] = trainer.evaluate(judged, return_dict=True, verbose=0)
        found["predicted"] = trainer.predict(inputs, verbose=0).ravel()[:500].tolist()
    return {
        **found,
        "logs": logs,
        "state": np.concatenate(state).tolist(),
        "held": [engine.held(part) for part in (trainer.network.variables, slots, averages)],
        "planned": [stage.weights for stage in getattr(engine, "stages", [])],
        "report": report,
        "step": trainer.step,
    }


def step_graph():
    """Operations on many numbers that no device is named for, and how stages are called."""
    trainer = make(stages(2, data=2, micro=2), {"num_layers": 2})
    batch = next(iter(small.make_batches(1)))
    step = tf.function(trainer.engine.spread(trainer._train_step), autograph=False)
    graph = step.get_concrete_function(batch).graph
    large = []
    for operation in graph.get_operations():
        is_large = any(
            output.dtype.is_floating and (output.shape.num_elements() or 0) > 50
            for output in operation.outputs
        )
        # What reads a variable is where that is.
        given = operation.type in ("Placeholder", "ReadVariableOp")
        if is_large and not operation.device and not given:
            large.append(f"{operation.type} {operation.name}")
    calls = [op.type for op in graph.get_operations() if "PartitionedCall" in op.type]
    return {"unplaced": large, "calls": calls}


class Timed:
    """A chain of parts that sleep, and write down when; see `parallel.engine.Learner`."""

    def __init__(self, parts, forward=0.03, backward=0.06):
        self.variables = [keras.Variable(1.0 + i, name=f"v{i}") for i in range(parts)]
        self.seconds = {"forward": forward, "backward": backward}
        self.spans = []

    def parts(self):
        return [(f"part_{i}", [variable]) for i, variable in enumerate(self.variables)]

    def trained(self, where):
        return self.variables[where]

    def shapes(self, rows):
        return {"tokens": tf.TensorSpec([rows, 1], tf.float32)}

    def loss_bytes(self, rows):
        return rows

    def forward(self, where, carry, batch):
        x = self._sleep("forward", where, carry.get("x", batch["tokens"]), batch)
        for variable in self.variables[where]:
            x *= variable.value
        return {"x": x}

    def through(self, where, carry, batch):
        def pull(by):
            x = self._sleep("backward", where, by["x"], batch)
            return {"x": x}, [tf.reduce_sum(x) for _ in self.variables[where]]

        return None, pull

    def finish(self, where, carry, batch):
        x = self._sleep("backward", where, carry["x"], batch)
        sums = small.collections.namedtuple("Sums", "gradients loss")
        return {"x": x}, sums([tf.reduce_sum(x)], tf.reduce_sum(x))

    def _sleep(self, kind, where, x, batch):
        def sleep(x, number):
            start = time.perf_counter()
            is_last = kind == "backward" and where.stop == len(self.variables)
            time.sleep(sum(self.seconds.values()) if is_last else self.seconds[kind])
            span = (kind, where.start, int(number[0, 0]), start, time.perf_counter())
            self.spans.append(span)
            return x

        # Stateful operations without a resource would wait for each other.
        y = tf.numpy_function(sleep, [x, batch["tokens"]], tf.float32, stateful=False)
        return tf.ensure_shape(y, x.shape)


def spans(schedule):
    """When each stage did what, of 3 stages and 4 micro-batches."""
    engine = Pipeline([[name] for name in devices.visible()[:3]], schedule)
    learner = Timed(3)
    engine.plan(learner, 4)
    engine.place_weights(learner.variables)
    engine._trained = [variable.value.device for variable in learner.variables]
    batch = {"tokens": tf.range(4.0)[:, None]}
    step = tf.function(lambda batch: engine.sums(learner, batch, 4), autograph=False)
    concrete = step.get_concrete_function(batch)
    learner.spans.clear()
    concrete(batch)
    learner.spans.clear()
    concrete(batch)
    return learner.spans


def refusals():
    """What is said about requests that cannot be met."""

    def too_many_stages():
        make(stages(4), {"num_layers": 1})

    def uneven():
        small.fit(make(stages(2, micro=3), {"num_layers": 1}), small.make_batches(1))

    said = []
    for attempt in (too_many_stages, uneven):
        try:
            attempt()
        except UserError as error:
            said.append(str(error))
    return said


if __name__ == "__main__":
    devices.pin_threads(at_once=4)
    devices.split_cpu(4)
    tf.get_logger().setLevel("ERROR")
    results = {}
    for model, (arguments, ways) in MODELS.items():
        with tempfile.TemporaryDirectory() as folder:
            trainers = {}
            results[model] = {
                name: train(way, trainers, Path(folder), name in JUDGED[model], **arguments)
                for name, way in ways.items()
            }
    results["step"] = step_graph()
    results["spans"] = {schedule: spans(schedule) for schedule in ("gpipe", "1f1b")}
    results["refusals"] = refusals()
    json.dump(results, sys.stdout)
