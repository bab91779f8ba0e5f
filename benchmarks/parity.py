"""Every way of training against one device with one micro-batch: same losses, same weights.

    .venv/bin/python benchmarks/parity.py                 # the whole table
    .venv/bin/python benchmarks/parity.py mesh --steps 5  # rows that have a word, fewer steps

The same initial weights, the same tokens a step, float32. A row fails if the loss of any step
differs by more than 1e-5 of it, or the final weights by more than 1e-4 of their norm, or if a
device holds other bytes of weights and slots, read from the live variables after training, than
were predicted from shapes before it. Several devices are logical CPU devices of one process; two
workers are two processes on loopback.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", KERAS_BACKEND="tensorflow", CUDA_VISIBLE_DEVICES="")

import numpy as np

STEPS, ROWS, LENGTH, VOCABULARY = 50, 16, 16, 64
LOSS, WEIGHTS = 1e-5, 1e-4
#: Models: decoder-only with all of a modern block's parts, the paper's, and one with experts.
MODELS: dict[str, dict[str, Any]] = {
    "decoder-only": {"kind": "causal_lm", "num_layers": 4, "num_key_value_heads": 4},
    "encoder-decoder": {"kind": "encoder_decoder", "num_layers": 2, "num_encoder_layers": 2},
    "experts": {
        "kind": "causal_lm",
        "num_layers": 2,
        "experts": {"num_experts": 4, "experts_per_token": 2},
    },
}


class Way(NamedTuple):
    """A way of training: settings of `config.Training`, and how many processes it takes."""

    settings: dict[str, Any]
    workers: int = 1


def _ways() -> dict[str, Way]:
    ways = {"one device": Way({})}
    for count in (2, 8):
        ways[f"accumulation {count}"] = Way({"gradient_accumulation_steps": count})
    for choice in ("block", "every_n", "attention", "full"):
        ways[f"rematerialization {choice}"] = Way({"rematerialization": choice})
    for data in (2, 4):
        ways[f"mirrored {data}"] = Way({"parallelism": {"data": data}})
    ways["mirrored 2, accumulation 2"] = Way(
        {"parallelism": {"data": 2}, "gradient_accumulation_steps": 2}
    )
    ways["2 workers"] = Way({"parallelism": {"strategy": "multi_worker", "data": 2}}, workers=2)
    for data, model in ((2, 1), (1, 2), (2, 2), (1, 4), (4, 1)):
        for sharded in ("none", "slots", "all") if data > 1 else ("none",):
            mesh = {"data": data, "model": model, "shard_weights": sharded}
            name = f"mesh {data}x{model}" + ("" if sharded == "none" else f", {sharded} sharded")
            ways[name] = Way({"parallelism": {"strategy": "dtensor", **mesh}})
    ways["mesh 2x2, accumulation 2, rematerialization block"] = Way(
        {
            "parallelism": {"strategy": "dtensor", "data": 2, "model": 2},
            "gradient_accumulation_steps": 2,
            "rematerialization": "block",
        }
    )
    ways["mesh of 2 workers"] = Way({"parallelism": {"strategy": "dtensor", "data": 2}}, workers=2)
    for stage in (2, 4):
        for micro in (1, 4, 8):
            for schedule in ("gpipe", "1f1b"):
                pipeline = {"strategy": "pipeline", "stage": stage, "schedule": schedule}
                ways[f"{stage} stages x {micro} {schedule}"] = Way(
                    {"parallelism": pipeline, "gradient_accumulation_steps": micro}
                )
    ways["2 stages x 2 data x 4 1f1b"] = Way(
        {
            "parallelism": {"strategy": "pipeline", "stage": 2, "data": 2},
            "gradient_accumulation_steps": 4,
        }
    )
    ways["layers on 2 devices"] = Way({"parallelism": {"strategy": "layers", "stage": 2}})
    twice = {"gradient_accumulation_steps": 2}
    ways["layers on 2 devices, accumulation 2, rematerialization block"] = Way(
        {
            "parallelism": {"strategy": "layers", "stage": 2},
            "rematerialization": "block",
            **twice,
        }
    )
    ways["mirrored 2, accumulation 2, rematerialization full"] = Way(
        {"parallelism": {"data": 2}, "rematerialization": "full", **twice}
    )
    ways["mesh 2x2, all sharded, accumulation 2, rematerialization full"] = Way(
        {
            "parallelism": {
                "strategy": "dtensor",
                "data": 2,
                "model": 2,
                "shard_weights": "all",
            },
            "rematerialization": "full",
            **twice,
        }
    )
    ways["2 stages x 4 1f1b, rematerialization attention"] = Way(
        {
            "parallelism": {"strategy": "pipeline", "stage": 2},
            "rematerialization": "attention",
            "gradient_accumulation_steps": 4,
        }
    )
    return ways


WAYS = _ways()
#: What the other models are trained by.
FEWER = (
    "accumulation 2",
    "rematerialization block",
    "rematerialization full",
    "mirrored 2",
    "2 workers",
    "mesh 2x1",
    "mesh 1x2",
    "mesh 2x2",
    "mesh 2x2, all sharded",
    "2 stages x 4 gpipe",
    "2 stages x 4 1f1b",
    "2 stages x 2 data x 4 1f1b",
    "layers on 2 devices",
)


class Row(NamedTuple):
    """A line of the table: a model, with or without dropout, trained one way."""

    model: str
    dropout: float
    way: str

    @property
    def reference(self) -> Row:
        """The same on one device."""
        return self._replace(way="one device")


def rows(words: list[str]) -> list[Row]:
    """The table's lines whose text has every word, each model's reference first."""
    chosen = []
    for model in MODELS:
        for dropout in (0.0, 0.1):
            for way in WAYS if model == "decoder-only" else FEWER:
                row = Row(model, dropout, way)
                text = f"{model} {'dropout' if dropout else 'plain'} {way}"
                if way != "one device" and all(word in text for word in words):
                    chosen.append(row)
    return chosen


def train(row: Row, steps: int) -> dict[str, Any]:
    """Losses of all steps, final weights, and bytes a device; in the process it is to run in."""
    import keras
    import tensorflow as tf

    from llm_keras import config, models
    from llm_keras.parallel import engines, rematerialization
    from llm_keras.training import optimizers
    from llm_keras.training.trainer import Trainer

    settings = config.Training(
        total_steps=steps,
        global_batch_size=ROWS,
        schedule={"warmup_steps": min(5, steps)},
        optimizer={"learning_rate": 1e-3, "clip_norm": 0.5, "weight_decay": 0.1},
        **WAYS[row.way].settings,
    )
    engine = engines.of_training(settings)
    shape = config.Model(
        hidden_dim=32,
        intermediate_dim=64,
        num_query_heads=4,
        dropout=row.dropout,
        **MODELS[row.model],
    )
    losses: list[float] = []
    keep = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: losses.append(float(logs["loss"]))
    )
    with engine.scope():
        network = models.build_model(
            shape, vocabulary_size=VOCABULARY, sequence_length=LENGTH, seed=1
        )
        rematerialization.install(network, settings)
        trainer = Trainer(
            network,
            seed=2,
            gradient_accumulation_steps=settings.gradient_accumulation_steps,
            engine=engine,
        )
        trainer.compile(optimizers.build(settings, network.trainable_variables))

        def batches(part: int, parts: int) -> tf.data.Dataset:
            columns = _batches(row.model, steps)
            size = ROWS // parts
            mine = {name: c[:, part * size : (part + 1) * size] for name, c in columns.items()}
            return tf.data.Dataset.from_tensor_slices(mine)

        trainer.fit(
            engine.dataset(batches),
            steps_per_epoch=steps,
            callbacks=[keep],
            shuffle=False,
            verbose=0,
        )
    weights = [engine.value(variable).ravel() for variable in network.trainable_variables]
    slots = [v for v in trainer.optimizer.variables if len(v.shape)]
    held = [_by_device(engine.held(network.variables)), _by_device(engine.held(slots))]
    return {
        "losses": losses,
        "weights": np.concatenate(weights),
        "bytes": json.dumps({"held": held, "predicted": _predicted(engine, settings, network)}),
    }


def _by_device(held: dict[str, int]) -> list[int]:
    return [count for _, count in sorted(held.items())]


def _predicted(engine: Any, settings: Any, network: Any) -> list[list[int]]:
    """Bytes of weights and of AdamW's slots on each device, from shapes and the plan alone."""
    data, variables = settings.parallelism.data, network.trainable_variables
    if settings.parallelism.stage > 1:
        by_stage = [(stage.weights, stage.slots) for stage in engine.stages]
    elif settings.parallelism.strategy == "dtensor":
        weights, slot = engine.predicted_bytes(variables)
        by_stage = [(weights, 2 * slot)] * engine.mesh.num_local_devices()
    else:
        weights = sum(4 * int(np.prod(variable.shape)) for variable in variables)
        by_stage = [(weights, 2 * weights)] * (data // engine.parts)
    return [list(column) for column in zip(*by_stage, strict=True)]


def _batches(model: str, steps: int) -> dict[str, np.ndarray]:
    """Rows of several documents and filling, so that parts of a batch differ in their tokens."""
    random = np.random.default_rng(0)
    tokens = random.integers(2, VOCABULARY, (steps, ROWS, LENGTH + 1))
    place, row = np.arange(LENGTH + 1), np.arange(ROWS)[:, None]
    real = place < 3 + (5 * row) % LENGTH
    columns = {"tokens": tokens, "segments": np.where(real, 1, 0)}
    if model == "encoder-decoder":
        columns["source"] = tokens[:, :, ::-1][:, :, :-1]
        columns["source_segments"] = np.where(place[:-1] < 4 + row % 12, 1, 0)
    else:
        columns["segments"] = np.where(real, 1, np.where(row % 2, 0, 2))
    shaped = {name: np.broadcast_to(c, (steps, ROWS, c.shape[-1])) for name, c in columns.items()}
    numbers = np.arange(steps * ROWS).reshape(steps, ROWS)
    return {**{name: c.astype("int32") for name, c in shaped.items()}, "rows": numbers}


def child(names: list[Row], steps: int, folder: Path, devices: int) -> None:
    """Trains rows in this process, and leaves what came out in the folder."""
    from llm_keras.parallel import devices as parallel_devices

    parallel_devices.pin_threads()
    if devices > 1:
        parallel_devices.split_cpu(devices)
    for row in names:
        start = time.monotonic()
        try:
            result = train(row, steps)
        except Exception as error:  # a row that fails is a result, told below
            (folder / f"{_file(row)}.failed").write_text(f"{type(error).__name__}: {error}")
            continue
        np.savez(folder / f"{_file(row)}.npz", seconds=time.monotonic() - start, **result)


def _file(row: Row) -> str:
    return f"{row.model}-{row.dropout}-{row.way}".replace(" ", "_").replace(",", "")


def launch(names: list[Row], steps: int, folder: Path) -> None:
    """Starts the processes: one for all ways of one process, others for each of several."""
    alone = [row for row in names if WAYS[row.way].workers == 1]
    wanted = [row.reference for row in names] + alone
    if wanted:
        _run([_command(list(dict.fromkeys(wanted)), steps, folder, devices=4)], [{}])
    for row in names:
        workers = WAYS[row.way].workers
        if workers > 1:
            import socket

            sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(workers)]
            hosts = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
            for each in sockets:
                each.close()
            places = [
                {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}
                for index in range(workers)
            ]
            _run(
                [_command([row], steps, folder / f"worker{i}", devices=1) for i in range(workers)],
                [{"TF_CONFIG": json.dumps(place)} for place in places],
            )


def _command(names: list[Row], steps: int, folder: Path, devices: int) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    arguments = ["--steps", str(steps), "--child", str(folder), str(devices), json.dumps(names)]
    return [sys.executable, __file__, *arguments]


def _run(commands: list[list[str]], environments: list[dict[str, str]]) -> None:
    processes = [
        subprocess.Popen(command, env={**os.environ, **environment})
        for command, environment in zip(commands, environments, strict=True)
    ]
    try:
        for process in processes:
            process.wait(timeout=3600)
    finally:
        for process in processes:
            process.kill()


def report(names: list[Row], folder: Path) -> bool:
    """Prints the table; whether every row holds."""
    good = True
    print(f"{'model':16} {'dropout':7} {'way':62} {'loss':>8} {'weights':>8} {'s':>5}")
    for row in names:
        worker = "worker0" if WAYS[row.way].workers > 1 else "."
        found, reference = (folder / worker / _file(row), folder / _file(row.reference))
        line = f"{row.model:16} {row.dropout:<7} {row.way:62}"
        failed = found.with_name(found.name + ".failed")
        if failed.exists() or not found.with_name(found.name + ".npz").exists():
            good = False
            why = failed.read_text() if failed.exists() else "the process died"
            print(f"{line} FAILED {' '.join(why.split())[:300]}")
            continue
        ours, one = (np.load(f"{path}.npz") for path in (found, reference))
        loss = np.max(np.abs(ours["losses"] - one["losses"]) / np.abs(one["losses"]))
        weights = np.linalg.norm(ours["weights"] - one["weights"]) / np.linalg.norm(one["weights"])
        holds = bool(loss <= LOSS and weights <= WEIGHTS)
        good &= holds
        verdict = "" if holds else "  FAILED"
        print(f"{line} {loss:8.1e} {weights:8.1e} {float(ours['seconds']):5.0f}{verdict}")
    print("\nbytes on each device of a process, read from the live variables (predicted)")
    print(f"{'model':16} {'way':62} {'weights':>24} {'slots':>24}")
    for row in names:
        path = folder / ("worker0" if WAYS[row.way].workers > 1 else ".") / f"{_file(row)}.npz"
        if row.dropout == 0 and path.exists():
            found = json.loads(str(np.load(path)["bytes"]))
            for weights, slots in sorted(set(zip(*_figures(found), strict=True)), reverse=True):
                print(f"{row.model:16} {row.way:62} {weights:>24} {slots:>24}")
            good &= found["held"] == found["predicted"]
    return good


def _figures(found: dict[str, list[list[int]]]) -> list[list[str]]:
    """What is held and what was predicted, for weights and for slots, of each device."""
    return [
        [f"{one:,} ({other:,})" for one, other in zip(held, predicted, strict=True)]
        for held, predicted in zip(found["held"], found["predicted"], strict=True)
    ]


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", help="only rows that have all of these")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        folder, devices, names = chosen.child
        child([Row(*each) for each in json.loads(names)], chosen.steps, Path(folder), int(devices))
        return
    names = rows(chosen.words)
    if not names:
        parser.error(f"no row has {' and '.join(chosen.words)}")
    with tempfile.TemporaryDirectory() as folder:
        launch(names, chosen.steps, Path(folder))
        if not report(names, Path(folder)):
            sys.exit("parity: a row fails")
    print(f"parity: all {len(names)} rows hold")


if __name__ == "__main__":
    main()
