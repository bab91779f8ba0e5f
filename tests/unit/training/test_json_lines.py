"""metrics.jsonl: each step once, readable while training runs."""

import json
from pathlib import Path

import numpy as np
import pytest

from llm_keras.errors import UserError
from llm_keras.training import json_lines
from llm_keras.training.json_lines import JsonLines, float32


def steps(path):
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


def test_lines_after_the_restored_step_are_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with JsonLines(path, 0) as lines:
        for step in range(1, 8):
            lines.append(step=step, loss=1.5)
    with JsonLines(path, 4) as lines:
        assert lines.last_step == 4
        lines.append(step=5, loss=2.5)
        assert lines.last_step == 5
    assert steps(path) == [1, 2, 3, 4, 5]
    assert json.loads(path.read_text().splitlines()[-1]) == {"step": 5, "loss": 2.5}


@pytest.mark.parametrize("torn", ['{"step": 3, "lo', "\x00\x00\x00", '{"loss": 1}\n', "[]\n"])
def test_a_line_that_a_kill_cut_is_dropped(tmp_path, torn):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n' + torn)
    with JsonLines(path, 9) as lines:
        lines.append(step=3)
    assert steps(path) == [1, 2, 3]


def test_lines_are_readable_within_a_second(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(json_lines.time, "monotonic", lambda: now[0])
    path = tmp_path / "metrics.jsonl"
    with JsonLines(path, 0) as lines:
        lines.append(step=1)
        assert steps(path) == []
        now[0] += 1.0
        lines.append(step=2)
        assert steps(path) == [1, 2]
        lines.append(step=3)
        lines.flush()
        assert steps(path) == [1, 2, 3]
        lines.append(step=4)
    assert steps(path) == [1, 2, 3, 4]


def test_a_float32_keeps_its_value_in_few_digits():
    values = np.random.default_rng(0).normal(size=1000).astype("float32")
    shown = [float32(float(value)) for value in values]
    np.testing.assert_array_equal(np.array(shown, "float32"), values)
    assert max(len(str(abs(value))) for value in shown) <= 14


def test_a_full_disk_is_one_clear_line(tmp_path):
    """`/dev/full` refuses every byte, as a full disk does."""
    path = tmp_path / "metrics.jsonl"
    with pytest.raises(UserError, match=r"metrics\.jsonl: cannot be written \(No space left"):
        fill(path)


def fill(path):
    with JsonLines(path, 0) as lines:
        lines._file.close()
        lines._file = Path("/dev/full").open("a")  # noqa: SIM115
        lines.append(step=1)
        lines.flush()
