"""Starting, watching and stopping several processes; small ones, without TensorFlow."""

import json
import signal
import sys
import time

import pytest

from llm_keras import config, launching, processes
from llm_keras.errors import UserError
from llm_keras.parallel.cluster import Cluster
from llm_keras.training import stopping

TWO = config.Parallelism(strategy="multi_worker", data=2)


def command(body):
    """What each worker does; `index` is its number."""
    head = "import json, os, signal, sys, time\n"
    head += "index = json.loads(os.environ['TF_CONFIG'])['task']['index']\n"
    return [sys.executable, "-c", head + body]


def launch(body, **options):
    return launching.launch(command(body), 2, TWO, **options)


def test_workers_that_end_well_end_the_run_well(capfd):
    said = """
print("I0000 of TensorFlow's")
print("bar" if index == 0 else "warning: cold")
"""
    assert launch(said) == 0
    output, errors = capfd.readouterr()
    assert output == "I0000 of TensorFlow's\nbar\n"
    assert errors == "worker 1: warning: cold\n"


@pytest.mark.parametrize(
    ("first", "then", "code"),
    [
        ("sys.exit(2)", "sys.exit(5)", 2),
        ("sys.exit(5)", "sys.exit(2)", 2),
        ("sys.exit(1)", "sys.exit(2)", 1),
        ("os.kill(os.getpid(), signal.SIGKILL)", "sys.exit(5)", 5),
        ("sys.exit(3)", "sys.exit(3)", 3),
        ("sys.exit(3)", "sys.exit(5)", 5),
    ],
)
def test_the_exit_code_is_that_of_the_cause(first, then, code):
    body = f"{first} if index else (time.sleep(0.3), {then})"
    assert launch(body) == code


@pytest.mark.parametrize(("hanging", "left"), [(0, "GRACE"), (1, "CHIEFLESS")])
def test_what_does_not_end_by_itself_is_killed(monkeypatch, capfd, hanging, left):
    """The other worker ignores signals and then stops: nothing but SIGKILL ends it."""
    monkeypatch.setattr(processes, f"{left}_SECONDS", 0.5)
    hang = f"""
if index == {hanging}:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.kill(os.getpid(), signal.SIGSTOP)
time.sleep(0.3)
sys.exit(4)
"""
    begin = time.monotonic()
    assert launch(hang) == 4
    assert time.monotonic() - begin < 10
    said = capfd.readouterr().err
    assert f"worker {1 - hanging} ended with exit code 4" in said
    assert f"worker {hanging} does not end: killed" in said
    assert f"worker {hanging} was ended by SIGKILL" in said


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_is_passed_on_once_and_waited_for(tmp_path, name):
    """Worker 0 sends it to the launcher as soon as both listen."""
    body = f"""
seen = []
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda *_: seen.append(1))
ready = {str(tmp_path)!r} + "/ready"
if index:
    open(ready, "w").close()
else:
    while not os.path.exists(ready):
        time.sleep(0.05)
    os.kill(os.getppid(), signal.{name})
while not seen:
    time.sleep(0.05)
time.sleep(0.3)
sys.exit(3 if len(seen) == 1 else 99)
"""
    assert launch(body, restarts=3) == 3


def test_what_a_signal_ends_before_it_can_save_is_interrupted():
    body = "index or os.kill(os.getppid(), signal.SIGTERM); time.sleep(20)"
    assert launch(body, restarts=3) == 130


@pytest.mark.parametrize(("restarts", "code", "starts"), [(0, 5, 1), (1, 5, 2), (5, 0, 3)])
def test_a_lost_worker_is_started_again_so_often(tmp_path, restarts, code, starts):
    body = f"""
path = {str(tmp_path)!r} + "/starts"
if index:
    open(path, "a").write(os.environ["TF_CONFIG"] + "\\n")
    if len(open(path).readlines()) < 3:
        os.kill(os.getpid(), signal.SIGKILL)
"""
    assert launch(body, restarts=restarts) == code
    lines = (tmp_path / "starts").read_text().splitlines()
    assert len(lines) == len(set(lines)) == starts  # ports are new


@pytest.mark.parametrize("code", [2, 4])
def test_what_would_happen_again_is_not_started_again(tmp_path, code):
    body = f"open({str(tmp_path)!r} + f'/{{index}}', 'a').write('x'); sys.exit({code})"
    assert launch(body, restarts=3) == code
    assert (tmp_path / "0").read_text() == "x"


def test_each_worker_has_its_own_gpus(tmp_path, monkeypatch):
    body = f"open({str(tmp_path)!r} + f'/{{index}}', 'w').write(os.environ['CUDA_VISIBLE_DEVICES'])"
    for allowed, expected in ((None, ["0,1", "2,3"]), ("7,5,3,1", ["7,5", "3,1"]), ("", ["", ""])):
        if allowed is None:
            monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        else:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", allowed)
        settings = config.Parallelism(strategy="multi_worker", data=4)
        assert launching.launch(command(body), 2, settings) == 0
        assert [(tmp_path / str(index)).read_text() for index in (0, 1)] == expected


def test_instructions_for_each_machine():
    lines = launching.instructions(["a:1", "b:2"], TWO, ["llm-keras", "train", "my run.yaml"])
    assert lines == [
        "# worker 0, on a, the chief",
        """export TF_CONFIG='{"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker","""
        """ "index": 0}}'""",
        "llm-keras train 'my run.yaml'",
        "",
        "# worker 1, on b",
        """export TF_CONFIG='{"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker","""
        """ "index": 1}}'""",
        "llm-keras train 'my run.yaml'",
    ]
    mesh = config.Parallelism(strategy="dtensor", data=2)
    lines = launching.instructions(["a:1", "b:2"], mesh, ["llm-keras"])
    assert "export DTENSOR_JOBS=a:1,b:2" in lines
    assert "export DTENSOR_CLIENT_ID=1" in lines


@pytest.mark.parametrize("hosts", [["a"], ["a:", "b:1"], ["a:1", ":2"], ["a:1", "a:1"]])
def test_addresses_that_cannot_be(hosts):
    with pytest.raises(UserError, match="--hosts: "):
        launching.instructions(hosts, TWO, ["llm-keras"])


@pytest.mark.parametrize(
    ("settings", "workers", "message"),
    [
        ({"data": 2}, 2, "strategy is mirrored, which is one process's: run `llm-keras train`"),
        ({"strategy": "multi_worker", "data": 2}, 1, "at least 2 workers, got 1"),
        (
            {"strategy": "multi_worker", "data": 4},
            3,
            "data 4 x model 1 x stage 1 = 4 devices cannot be shared out to 3 workers",
        ),
    ],
)
def test_workers_that_cannot_share_the_devices(settings, workers, message):
    with pytest.raises(UserError) as error:
        launching.check(config.Parallelism(**settings), workers)
    assert message in str(error.value)


def test_a_process_finds_its_place(monkeypatch):
    for kind, index, place in (("chief", 0, 0), ("worker", 0, 1), ("worker", 1, 2)):
        given = {
            "cluster": {"chief": ["c:1"], "worker": ["a:1", "b:1"]},
            "task": {"type": kind, "index": index},
        }
        monkeypatch.setenv("TF_CONFIG", json.dumps(given))
        found = Cluster.of(TWO)
        assert (found.workers, found.index) == (("c:1", "a:1", "b:1"), place)
        assert found.is_chief == (place == 0)


@pytest.mark.parametrize(
    ("text", "strategy", "message"),
    [
        ("", "multi_worker", "this is one process: TF_CONFIG names no others"),
        ('{"cluster": {"worker": ["a:1"]}}', "multi_worker", "names no others"),
        ("{", "multi_worker", "expected JSON as"),
        ("[1]", "multi_worker", "expected JSON as"),
        (
            '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 2}}',
            "multi_worker",
            "is none of the 2 workers",
        ),
        (
            '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "ps", "index": 0}}',
            "multi_worker",
            "is none of the 2 workers",
        ),
        (
            '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}}',
            "mirrored",
            "names 2 workers, but training.parallelism.strategy is mirrored",
        ),
    ],
)
def test_a_cluster_that_does_not_fit(monkeypatch, text, strategy, message):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UserError) as error:
        Cluster.of(config.Parallelism(strategy=strategy, data=2))
    assert message in str(error.value)


def test_alone_is_alone(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert Cluster.of(config.Parallelism()) is None


def test_signals_are_as_they_were_after_a_launch():
    before = [signal.getsignal(number) for number in stopping.SIGNALS]
    assert launch("pass") == 0
    assert [signal.getsignal(number) for number in stopping.SIGNALS] == before
