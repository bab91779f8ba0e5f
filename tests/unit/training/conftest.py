"""Gives the tests of training a small network, and processes of their own."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def small():
    """The module `small.py` beside this file."""
    spec = importlib.util.spec_from_file_location("small", HERE / "small.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def in_child():
    """Runs a script beside this file in a process of its own; returns what it prints, from JSON."""

    def run(script, *arguments):
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        child = subprocess.run(
            [sys.executable, str(HERE / script), *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
        )
        assert child.returncode == 0, child.stderr[-2000:]
        return json.loads(child.stdout)

    return run
