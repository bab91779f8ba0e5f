"""Worker processes that are forked off one that has imported everything."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from llm_keras.errors import LLMKerasError
from llm_keras.run_folder import RunFolder
from pipelines import local_workers
from pipelines.curate import curate


def documents(folder):
    return {path.name: path.read_bytes() for path in (folder.corpus / "documents").iterdir()}


def test_work_where_they_are_started_not_where_the_server_was(
    make_run, letters, tmp_path, monkeypatch
):
    """The server starts in one folder, a later curation in another, with a relative path."""
    found = []
    for name in "first", "second":
        shutil.copytree(letters, tmp_path / name / "letters")
        monkeypatch.chdir(tmp_path / name)
        folder = RunFolder(tmp_path / name / "run")
        curate(make_run("letters", workers=2), folder)
        found.append(documents(folder))
    assert found[0] == found[1] != {}


def test_come_of_a_process_with_one_thread(tmp_path):
    """A thread that held a lock would hold it for ever in what is forked."""
    local_workers.command(tmp_path / "log")
    server = local_workers._server(os.getpid())._process.pid
    assert len(list(Path(f"/proc/{server}/task").iterdir())) == 1


def test_work_where_the_folder_of_temporary_files_has_a_long_name(tmp_path):
    """Longer than the address of a socket may be."""
    folder = tmp_path / ("long" * 40)
    folder.mkdir()
    program = (
        "import pathlib, subprocess\n"
        "from pipelines import local_workers\n"
        f"command = local_workers.command(pathlib.Path({str(tmp_path / 'log')!r}))\n"
        "raise SystemExit(subprocess.run(command, shell=True, env={}).returncode)\n"
    )
    variables = os.environ | {"TMPDIR": str(folder)}
    done = subprocess.run([sys.executable, "-c", program], env=variables, check=False)
    assert done.returncode == 1
    assert "KeyError: 'CONTROL_API_SERVICE_DESCRIPTOR'" in (tmp_path / "log").read_text()
    assert list(folder.iterdir()) == []


def test_end_with_the_code_and_the_words_of_what_ended_them(tmp_path):
    """A worker that is not told where its runner is, as its own program says it."""
    log = tmp_path / "log"
    variables = {"PATH": os.environ["PATH"]}
    done = subprocess.run(
        local_workers.command(log), shell=True, env=variables, cwd=tmp_path, check=False
    )
    assert done.returncode == 1
    assert "KeyError: 'CONTROL_API_SERVICE_DESCRIPTOR'" in log.read_text()


def test_are_started_anew_after_their_server_was_killed(make_run, letters, tmp_path):
    for name in "first", "second":
        curate(make_run(letters, workers=2), RunFolder(tmp_path / name))
        server = local_workers._server(os.getpid())._process
        assert server.poll() is None
        server.kill()
        assert server.wait() == -signal.SIGKILL
    assert documents(RunFolder(tmp_path / "first")) == documents(RunFolder(tmp_path / "second"))


def test_that_cannot_be_started_are_an_error_with_the_reason(tmp_path, monkeypatch):
    (tmp_path / "apache_beam.py").write_text("raise ImportError('not the one')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(LLMKerasError, match="cannot be started: ImportError: not the one"):
        local_workers._Server().address()


def test_leave_nothing_behind_when_who_started_them_is_killed(tmp_path):
    """Neither the server nor a worker that waits for a runner that does not answer."""
    program = (
        "import subprocess, sys, time\n"
        "from pathlib import Path\n"
        "from pipelines import local_workers\n"
        "command = local_workers.command(Path(sys.argv[1]))\n"
        "at = {'CONTROL_API_SERVICE_DESCRIPTOR': 'url: \"127.0.0.1:9\"'}\n"
        "subprocess.Popen(command, shell=True, env=at)\n"
        "time.sleep(600)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program, tmp_path / "log"])
    server = _child(process.pid, b"local_workers.server")
    worker = _child(server, b"local_workers.server")
    process.kill()
    process.wait()
    assert _gone(server)
    assert _gone(worker)


def _child(parent, name, seconds=60):
    """The child of a process whose command has a name in it, once there is one."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
            if name in Path(f"/proc/{child}/cmdline").read_bytes():
                return int(child)
        time.sleep(0.1)
    raise AssertionError(f"no child {name} of {parent}")


def _gone(process, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False
