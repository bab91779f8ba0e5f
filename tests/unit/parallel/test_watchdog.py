"""A process that waits in vain ends, whatever it is in."""

import os
import signal
import subprocess
import sys
import time

import pytest

START = """
import os, signal, sys, time
from llm_keras.parallel.watchdog import STOPS, Watchdog
signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
dog = Watchdog(0.6)
print("started", flush=True)
"""


def start(body, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", START + body],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize(
    ("beat", "who"),
    [("", "other workers to start"), ("dog.beat()\n", "other workers (training")],
)
def test_who_waits_too_long_ends(beat, who):
    child = start(beat + "time.sleep(20)")
    _, said = child.communicate(timeout=10)
    assert child.returncode == 5
    assert said.startswith("error: waited 0.6 s for the ")
    assert who in said


def test_who_meets_the_others_lives_and_who_is_done_may_take_long():
    child = start("for _ in range(8): time.sleep(0.2); dog.beat()\ndog.stop()\ntime.sleep(1.5)")
    child.communicate(timeout=10)
    assert child.returncode == 0


def test_a_stop_before_the_meeting_is_obeyed():
    child = start("time.sleep(20)")
    child.stdout.readline()
    child.send_signal(signal.SIGTERM)
    child.communicate(timeout=10)
    assert child.returncode == 130


def test_the_end_of_the_launcher_is_passed_on(tmp_path):
    """The launcher starts the worker and ends; the worker tells what comes to it."""
    heard = tmp_path / "heard"
    worker = f"{START}dog.seconds = 60\ndog.beat()\nnumber = signal.sigwait(STOPS)\n"
    worker += f"open({str(heard)!r}, 'w').write(signal.Signals(number).name)"
    launcher = f"""
import os, subprocess, sys
from llm_keras.parallel.watchdog import LAUNCHER
mine = {{**os.environ, LAUNCHER: str(os.getpid())}}
child = subprocess.Popen([sys.executable, "-c", {worker!r}], env=mine, stdout=subprocess.PIPE)
child.stdout.readline()
assert not os.path.exists({str(heard)!r})
os._exit(0)
"""
    subprocess.run([sys.executable, "-c", launcher], timeout=20, check=True)
    deadline = time.monotonic() + 10
    while not (heard.exists() and heard.read_text()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert heard.read_text() == "SIGTERM"
