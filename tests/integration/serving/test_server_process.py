"""The server as a process: its exit codes, its output, its end."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from llm_keras.errors import UserError
from serving.__main__ import main
from serving.server import serve, start_in_background

MODEL = "/v1/models/model"
PREDICT = f"{MODEL}:predict"
ENVIRONMENT = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "LLM_KERAS_API_KEY": ""}


def start(folder, *arguments, **environment):
    """Starts `python -m serving`; returns the process and its address once it is printed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "serving", "--model-base-path", folder, "--port=0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**ENVIRONMENT, **environment},
    )
    first = process.stdout.readline()
    assert first.startswith("serving model version 1 at http://127.0.0.1:"), process.stderr.read()
    return process, first.split(" at ")[1].partition("/v1/")[0].strip(), process.stdout.readline()


def open_request(url, signature, number, withheld=0):
    """Sends a predict request on a connection of its own, but for its last `withheld` bytes."""
    host, port = url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=30)
    body = json.dumps({"signature_name": signature, "inputs": [number]}).encode()
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body[: len(body) - withheld])
    return connection, body[len(body) - withheld :]


def response(connection):
    """Status and body of what comes back on a connection."""
    with connection, http.client.HTTPResponse(connection) as answer:
        answer.begin()
        return answer.status, json.loads(answer.read())


def test_sigterm_lets_requests_finish_and_exits_0(meeting_folder, ask, wait_until):
    """Two requests are under way when the signal comes: both are answered, then all is over.

    The first waits inside the model for what the second brings, and the second's body is not yet
    complete, so neither can have been done before.
    """
    process, url, example = start(meeting_folder)
    try:
        assert example.startswith("try: curl -d '{\"instances\": [1.0]}' http://127.0.0.1:")
        taking, _ = open_request(url, "take", 1.0)
        bringing, rest = open_request(url, "put", 41.0, withheld=3)
        assert ask(url, MODEL).status == 200  # by now the server has read what came before
        process.send_signal(signal.SIGTERM)
        started = time.monotonic()
        wait_until(lambda: refuses(url))
        assert process.poll() is None, "it did not wait for the running requests"
        bringing.sendall(rest)
        assert response(bringing) == (200, {"outputs": [41.0]})
        assert response(taking) == (200, {"outputs": [42.0]})
        assert process.wait(timeout=30) == 0
        assert time.monotonic() - started < 30
        assert "Traceback" not in process.stderr.read()
    finally:
        stop(process)


def test_sigterm_ends_what_does_not_finish(meeting_folder, ask):
    """Waiting for ever in the model or for a body: both are told, and the exit code is 0."""
    process, url, _ = start(meeting_folder, "--drain-seconds=1")
    try:
        taking, _ = open_request(url, "take", 1.0)
        sending, _ = open_request(url, "put", 1.0, withheld=3)
        assert ask(url, MODEL).status == 200
        process.send_signal(signal.SIGTERM)
        stopping = (503, {"error": "the server is stopping"})
        assert [response(taking), response(sending)] == [stopping, stopping]
        assert process.wait(timeout=15) == 0
        assert "Traceback" not in process.stderr.read()
    finally:
        stop(process)


def refuses(url):
    host, port = url.removeprefix("http://").split(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except ConnectionRefusedError:
        return True
    return False


def stop(process):
    process.kill()
    process.wait()
    process.stdout.close()
    process.stderr.close()


@pytest.fixture
def taken_port():
    """A port that another program really listens on."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


def test_a_port_in_use_is_one_line_and_exit_2(meeting_folder, taken_port, capsys):
    """Before anything is loaded."""
    with socket.create_connection(("127.0.0.1", taken_port)):
        code = main([f"--model-base-path={meeting_folder}", f"--port={taken_port}"])
    printed = capsys.readouterr()
    assert (code, printed.out) == (2, "")
    assert printed.err.startswith(f"error: port {taken_port} is in use on 127.0.0.1: ")
    assert printed.err.count("\n") == 1


def test_the_background_server_says_so_too(meeting_folder, taken_port):
    """The same error for programs."""
    with (
        pytest.raises(UserError, match=f"port {taken_port} is in use"),
        start_in_background(meeting_folder, port=taken_port),
    ):
        pass


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host=0.0.0.0"], "refusing to listen on 0.0.0.0 without an API key"),
        (["--threads=0"], "serving: threads must be above 0, got 0"),
        (["--label=stable"], "--label stable: expected NAME=VERSION"),
        (["--model-name=a/b"], "model name 'a/b' cannot be in a path"),
        (["--model-base-path=/nowhere"], "/nowhere: no such folder; expected /nowhere/<number>/"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(meeting_folder, arguments, message, capsys, monkeypatch):
    """Each names what was expected."""
    monkeypatch.delenv("LLM_KERAS_API_KEY", raising=False)
    assert main([f"--model-base-path={meeting_folder}", "--port=0", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message}")
    assert error.count("\n") == 1


def test_a_key_in_the_environment_is_asked_for(meeting_folder, ask, monkeypatch):
    """`serve` takes it from the variable that is named, and answers until it is stopped."""
    monkeypatch.setenv("MY_KEY", "open-sesame")
    announced, answers = [], []

    def announce(text):
        announced.append(text)
        threading.Thread(target=client).start()

    def client():
        url = announced[0].split(" at ")[1].partition("/v1/")[0]
        headers = {"Authorization": "Bearer open-sesame"}
        answers.extend([ask(url, MODEL).status, ask(url, MODEL, headers=headers).status])
        signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    serve(meeting_folder, port=0, api_key_variable="MY_KEY", announce=announce)
    assert answers == [401, 200]
    assert '-H "Authorization: Bearer $MY_KEY"' in announced[0]
    assert "open-sesame" not in announced[0]
    assert signal.getsignal(signal.SIGINT) is before
