"""Bubble, micro-batches in flight, and memory of a pipeline: predicted beside measured.

Times: the stages of a chain that only waits, so that they can work at once on any number of cores;
what is shown is the order, and what the runtime adds to it, not the speed of arithmetic. Every task
writes down when it began and ended; the bubble is the part of all stages' time between the first
start and the last end that belongs to no task. Then a micro-batch hands on some megabytes, so that
those in flight are seen in the peak memory of the process (`ru_maxrss`, one process a case).

Model: a real one of several blocks, its plan, and bytes on each device read from live variables;
and what a step adds to the peak memory, beside what the plan says of all stages together.

    python benchmarks/pipeline.py [times|model]

Exits with 1 if a stage keeps more micro-batches than its schedule says, if stages do not overlap,
or if 1F1B adds more memory than GPipe.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections import namedtuple
from typing import Any

STAGES, FORWARD, BACKWARD, MEGABYTES = 4, 0.02, 0.06, 16
CASES = [(kind, number) for number in (4, 8, 16) for kind in ("gpipe", "1f1b")]
Sums = namedtuple("Sums", "gradients loss")


def waiting_chain(parts: int, spans: list[Any]) -> Any:
    """A model whose parts wait, as `parallel.engine.Learner` has it."""
    import keras
    import tensorflow as tf

    variables = [keras.Variable(1.0, name=f"weight_{i}") for i in range(parts)]

    def wait(kind: str, where: slice, x: tf.Tensor, batch: Any, seconds: float) -> tf.Tensor:
        def waited(number: Any) -> Any:
            start = time.perf_counter()
            time.sleep(seconds)
            spans.append([kind, where.start, int(number[0, 0]), start, time.perf_counter()])
            return number[0, 0] * 0

        with tf.control_dependencies([x]):  # Only a number goes to Python, and x as it is on.
            # Stateful operations without a resource would wait for each other.
            zero = tf.numpy_function(waited, [batch["tokens"]], tf.float32, stateful=False)
        return x + tf.ensure_shape(zero, [])

    class Chain:
        def parts(self) -> Any:
            return [(f"part_{i}", [variable]) for i, variable in enumerate(variables)]

        def trained(self, where: slice) -> Any:
            return variables[where]

        def shapes(self, rows: int) -> Any:
            return {"tokens": tf.TensorSpec([rows, MEGABYTES * 2**18], tf.float32)}

        def loss_bytes(self, rows: int) -> int:
            return 0

        def forward(self, where: slice, carry: Any, batch: Any) -> Any:
            x = carry.get("x", batch["tokens"])
            return {"x": wait("forward", where, x * variables[where.start].value, batch, FORWARD)}

        def through(self, where: slice, carry: Any, batch: Any) -> Any:
            def pull(by: Any) -> Any:
                x = carry.get("x", batch["tokens"])
                x = wait("backward", where, by["x"] * x, batch, BACKWARD)
                return {"x": x}, [tf.reduce_mean(x)]

            return None, pull

        def finish(self, where: slice, carry: Any, batch: Any) -> Any:
            x = wait("backward", where, carry["x"] * 2.0, batch, FORWARD + BACKWARD)
            return {"x": x}, Sums([tf.reduce_mean(x)], tf.reduce_mean(x))

    return Chain(), variables


def times(kind: str, micro_batches: int) -> dict[str, Any]:
    """When each task ran, and peak megabytes before and after; in the process it is to run in."""
    import tensorflow as tf

    from llm_keras.parallel import devices
    from llm_keras.parallel.pipeline import Pipeline

    devices.pin_threads(at_once=STAGES)
    devices.split_cpu(STAGES)
    spans: list[Any] = []
    chain, variables = waiting_chain(STAGES, spans)
    engine = Pipeline([[name] for name in devices.visible()], kind)
    engine.plan(chain, micro_batches)
    engine.place_weights(variables)
    engine.place_optimizer(tf.keras.optimizers.SGD(), variables)
    step = tf.function(lambda batch: engine.sums(chain, batch, micro_batches), autograph=False)

    def batch(width: int) -> Any:
        numbers = tf.range(float(micro_batches))[:, None]
        return {"tokens": tf.tile(numbers, [1, width])}

    small, whole = batch(1), batch(MEGABYTES * 2**18)
    step(small)
    spans.clear()
    step(small)  # Only waits; what follows also multiplies megabytes.
    measured, base = list(spans), _peak()
    step(whole)
    return {"spans": measured, "added": _peak() - base}


def model(kind: str, micro_batches: int) -> dict[str, Any]:
    """The plan of a real model, what its devices hold, and megabytes that a step adds."""
    import numpy as np
    import tensorflow as tf

    from llm_keras import config, models
    from llm_keras.parallel import devices, engines
    from llm_keras.training import Trainer, optimizers

    devices.pin_threads(at_once=STAGES)
    devices.split_cpu(STAGES)
    settings = config.Training(
        total_steps=10,
        global_batch_size=8 * micro_batches,
        gradient_accumulation_steps=micro_batches,
        schedule={"warmup_steps": 1},
        parallelism={"strategy": "pipeline", "stage": STAGES, "schedule": kind},
    )
    engine: Any = engines.of_training(settings)
    shape = config.Model(num_layers=8, hidden_dim=128, intermediate_dim=512, num_query_heads=2)
    network = models.build_model(shape, vocabulary_size=4096, sequence_length=256, seed=1)
    trainer = Trainer(network, engine=engine, gradient_accumulation_steps=micro_batches)
    trainer.compile(optimizers.build(settings, network.trainable_variables))
    step = trainer.make_train_function()
    random = np.random.default_rng(0)

    def batches(length: int) -> Any:
        size = (1, settings.global_batch_size, length + 1)
        tokens = random.integers(0, 4096, size).astype("int32")
        return iter(tf.data.Dataset.from_tensor_slices({"tokens": tokens}).repeat())

    step(batches(8))
    base = _peak()
    step(batches(256))
    lines = engine.report(network.variables, trainer.optimizer.variables)
    planned = sum(stage.inputs + stage.kept for stage in engine.stages) / 1e6
    return {"lines": list(lines), "added": _peak() - base, "planned": planned}


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def in_process(what: str, kind: str, micro_batches: int) -> dict[str, Any]:
    """A case, in a process of its own."""
    command = [sys.executable, __file__, what, "--case", kind, str(micro_batches)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def show_times() -> bool:
    """Prints the table of times; whether all is as it should be."""
    from llm_keras.parallel import schedules
    from llm_keras.parallel.schedules import Task

    def seconds(task: Task) -> float:
        if task.stage == STAGES - 1:
            return FORWARD + BACKWARD
        return FORWARD if task.kind == "forward" else BACKWARD

    print(f"{STAGES} stages, forward {FORWARD} s, backward {BACKWARD} s, {MEGABYTES} MB handed on")
    print("                 bubble                     seconds         in flight      MB added")
    print("schedule   M  formula simulated measured  simulated measured  planned measured")
    good, added = True, {}
    for kind, number in CASES:
        result = in_process("times", kind, number)
        spans = {Task(k, s, m): (start, end) for k, s, m, start, end in result["spans"]}
        orders = schedules.ORDERS[kind](STAGES, number)
        paper = schedules.simulate(orders, seconds)
        start, end = min(a for a, _ in spans.values()), max(b for _, b in spans.values())
        measured = schedules.bubble(list(spans.values()), STAGES)
        planned, kept = schedules.in_flight(orders), _in_flight(spans)
        added[kind, number] = result["added"]
        formula = schedules.ideal_bubble(STAGES, number)
        print(
            f"{kind:8} {number:3}  {formula:7.3f} {paper.bubble:9.3f}"
            f" {measured:8.3f}  {paper.seconds:9.2f} {end - start:8.2f}  {_join(planned):>10}"
            f" {_join(kept):>10} {result['added']:9.0f}"
        )
        in_turn = sum(b - a for a, b in spans.values())
        good &= all(a <= b for a, b in zip(kept, planned, strict=True))
        good &= end - start < 0.7 * in_turn
    return good and all(added["1f1b", n] <= added["gpipe", n] for n in (8, 16))


def _in_flight(spans: dict[Any, tuple[float, float]]) -> list[int]:
    """The most micro-batches of each stage between their first start and last end."""
    most = []
    for stage in range(STAGES):
        lives: dict[int, list[float]] = {}
        for task, span in spans.items():
            if task.stage == stage:
                lives.setdefault(task.micro_batch, []).extend(span)
        starts = [min(life) for life in lives.values()]
        most.append(max(sum(min(x) <= t < max(x) for x in lives.values()) for t in starts))
    return most


def _join(numbers: list[int]) -> str:
    return ",".join(map(str, numbers))


def show_model() -> bool:
    """Prints plans and bytes of a real model."""
    added = {}
    for kind in ("gpipe", "1f1b"):
        result = in_process("model", kind, 8)
        added[kind] = result["added"]
        print(f"\n8 blocks, hidden 128, {STAGES} stages, 8 micro-batches of 8 rows of 256, {kind}")
        print("\n".join(result["lines"]))
        print(
            f"a step adds {result['added']:.0f} MB to the process; inputs and kept of all stages"
            f" together: {result['planned']:.0f} MB"
        )
    return added["1f1b"] <= added["gpipe"]


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="?", choices=("times", "model", "all"), default="all")
    parser.add_argument("--case", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.case:
        case = {"times": times, "model": model}[chosen.what]
        print(json.dumps(case(chosen.case[0], int(chosen.case[1]))))
        return
    print(f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores")
    good = [
        show()
        for show, name in ((show_times, "times"), (show_model, "model"))
        if chosen.what in (name, "all")
    ]
    if not all(good):
        sys.exit("pipeline: not as planned")


if __name__ == "__main__":
    main()
