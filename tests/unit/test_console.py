"""What is shown while something runs."""

import os
import pty
import subprocess
import sys

import pytest

from llm_keras import console

SHOW = """
from llm_keras import console
with console.progress("train", total=4, initial=1, unit="steps") as bar:
    for step in (2, 3, 4):
        bar.update(step, loss=2.5, tokens_per_second=12345.6)
        console.say(f"saved [step] {step} :smile:")
"""


def test_a_log_gets_plain_lines_and_the_last_figures(capfd):
    with console.progress("train", total=4, initial=1, unit="steps") as bar:
        for step in (2, 3, 4):
            bar.update(step, loss=2.5, tokens_per_second=12345.6)
    captured = capfd.readouterr()
    assert captured.err == "train: 4/4 steps, loss 2.5, tokens/s 12,346\n"
    assert captured.out == ""


def test_a_log_gets_a_line_whenever_one_is_due(capfd, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    with console.progress("curate", total=None, unit="documents") as bar:
        for done in range(1, 26):
            now[0] += 1
            bar.update(done)
    lines = capfd.readouterr().err.splitlines()
    assert lines == ["curate: 10 documents", "curate: 20 documents", "curate: 25 documents"]


def test_the_time_left_counts_only_what_was_done_since_the_start(capfd, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    with console.progress("train", total=200, initial=100) as bar:
        now[0] = 20
        bar.update(110)
    assert "train: 110/200, 3m00s left" in capfd.readouterr().err


def test_a_failure_still_shows_how_far_it_came(capfd):
    def fail():
        with console.progress("train", total=9) as bar:
            bar.update(3)
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        fail()
    assert "train: 3/9" in capfd.readouterr().err


def test_a_terminal_gets_a_bar_and_lines_above_it():
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120", "NO_COLOR": "1"}
    child = subprocess.Popen([sys.executable, "-c", SHOW], stderr=follower, env=environment)
    os.close(follower)
    shown = b""
    try:
        while piece := os.read(leader, 4096):
            shown += piece
    except OSError:  # the other end is closed
        pass
    assert child.wait() == 0
    text = shown.decode()
    assert "saved [step] 4 :smile:\r\n" in text
    assert "4/4" in text
    assert "tokens/s 12,346" in text
    assert "━" in text


def test_a_warning_is_one_line_of_the_log(capfd):
    console.warn("a very long line " * 20)
    captured = capfd.readouterr().err
    assert captured.startswith("warning: a very long line")
    assert captured.count("\n") == 1
