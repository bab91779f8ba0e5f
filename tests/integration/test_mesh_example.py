"""The example that trains on a mesh, as its user runs it."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "examples" / "train_on_a_mesh.py"


def test_the_example_trains_on_four_devices():
    child = subprocess.run(
        [sys.executable, "-W", "error", str(SCRIPT)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""},
    )
    assert child.returncode == 0, child.stderr[-2000:]
    lines = {line.split()[0]: line for line in child.stdout.splitlines()}
    first, *_, last = map(float, lines["losses"].split()[1:])
    assert last < 0.9 * first
    up = "causal_lm/block_1/feed_forward/up/kernel"
    assert lines[up].endswith("('data', 'model')")
    assert "'CPU:3': 21120" in lines["bytes"]
    assert len(SCRIPT.read_text().splitlines()) < 40
