"""Trains the same steps on one device, and on a mesh of 2 x 2 devices of two processes.

`mesh_of_workers.py FOLDER` starts the processes, each of which leaves what it found in the folder.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))

from llm_keras import config, launching

STEPS = 4
MESH = config.Parallelism(
    strategy="dtensor", data=2, model=2, shard_weights="all", split_cpu=2, stall_seconds=120
)


def train(engine):
    """Losses, validation, final weights and what each device of this process holds."""
    import small

    trainer = small.make_trainer(small.make_network(num_query_heads=4), engine=engine)

    def part(number, parts):
        rows = small.ROWS // parts

        def cut(batch):
            return {name: v[number * rows : (number + 1) * rows] for name, v in batch.items()}

        return small.make_batches(STEPS).map(cut)

    logs = small.fit(trainer, engine.dataset(part))
    judged = trainer.evaluate(engine.dataset(part), return_dict=True, verbose=0)
    return {
        "loss": logs["loss"],
        "judged": judged,
        "weights": np.concatenate(
            [engine.value(v).ravel() for v in small.variables(trainer)]
        ).tolist(),
        "held": engine.held(trainer.network.variables),
    }


def work(settings, name):
    """What one process does."""
    from llm_keras.parallel import devices, engines

    devices.pin_threads()
    if settings.split_cpu > 1:
        devices.split_cpu(settings.split_cpu)
    engine = engines.from_config(settings)
    results = train(engine)
    results["who"] = [engine.part, engine.parts, engine.is_chief]
    results["sum"] = engine.sum_over_processes(engine.part + 5)
    Path(f"{name}-{engine.part}").write_text(json.dumps(results))
    os._exit(0)


if __name__ == "__main__":
    if len(sys.argv) == 2:
        command = [sys.executable, __file__, "mesh", f"{sys.argv[1]}/mesh"]
        sys.exit(launching.launch(command, 2, MESH))
    work(MESH if sys.argv[1] == "mesh" else config.Parallelism(), sys.argv[2])
