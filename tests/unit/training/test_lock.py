"""One training at a time in a folder."""

import subprocess
import sys

import pytest

from llm_keras.errors import UserError
from llm_keras.training.lock import only_one

HOLD = """
import sys, time
from pathlib import Path
from llm_keras.training.lock import only_one
with only_one(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_process_is_refused_until_the_first_is_gone(tmp_path):
    path = tmp_path / "run" / ".training.lock"
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=f"process {child.pid} trains here already"):
            only_one(path).__enter__()
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    assert path.exists()  # a file left by a kill locks nobody out
    with only_one(path):
        pass
