"""Who may ask, and what is written down about it."""

import logging

import pytest

from serving.rest import inference
from serving.server import start_in_background
from serving.settings import Settings

MODEL = "/v1/models/model"
PREDICT = f"{MODEL}:predict"
GOOD = {"instances": [1.0]}
SECRET = "attack at dawn\n\x1b[31mcrimson"


@pytest.fixture(scope="module")
def guarded_server(meeting_folder):
    """Wants a key."""
    with start_in_background(meeting_folder, settings=Settings(api_key="open-sesame")) as url:
        yield url


@pytest.fixture(scope="module")
def server(meeting_folder):
    """Wants none."""
    with start_in_background(meeting_folder) as url:
        yield url


ROUTES = [
    ("GET", MODEL),
    ("GET", f"{MODEL}/metadata"),
    ("POST", PREDICT),
    ("POST", f"{MODEL}:classify"),
    ("GET", "/v1/models"),
    ("GET", "/"),
    ("GET", "/health"),
    ("GET", "/openai/v1/models"),
    ("PUT", "/anything?else"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "open-sesame"},
        {"Authorization": "Basic open-sesame"},
        {"Authorization": "Bearer open-sesame "[:-2]},
        {"Authorization": "Bearer \xff"},
        {"X-Api-Key": "open-sesame"},
    ],
    ids=["none", "wrong", "bare", "basic", "cut", "not ASCII", "elsewhere"],
)
def test_every_route_needs_the_key(guarded_server, ask, method, path, headers):
    """Even those that do not exist: nothing is told to strangers."""
    answer = ask(guarded_server, path, method=method, headers=headers)
    assert (answer.status, answer.error) == (401, "missing or wrong API key")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_the_key_opens(guarded_server, ask):
    """Then the API answers as ever; any host name will do."""
    headers = {"Authorization": "Bearer open-sesame", "Host": "models.example.org"}
    answer = ask(guarded_server, PREDICT, GOOD, headers=headers)
    assert answer.json == {"predictions": [1.0]}
    assert ask(guarded_server, "/health", headers=headers).status == 404


@pytest.mark.parametrize("host", ["attacker.example", "attacker.example:8501", "localhost.example"])
def test_a_rebound_name_is_refused(server, ask, host):
    """A web page whose domain points at 127.0.0.1 reaches the server, but not the model."""
    answer = ask(server, PREDICT, GOOD, headers={"Host": host})
    assert answer.status == 403
    assert "only localhost" in answer.error


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8501", "127.0.0.1", "[::1]:8501"])
def test_names_of_this_machine_are_fine(server, ask, host):
    """With and without port."""
    assert ask(server, PREDICT, GOOD, headers={"Host": host}).status == 200


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (PREDICT, {"instances": [SECRET]}, 400),
        (PREDICT, {"inputs": [1.0], SECRET: SECRET}, 200),
        (PREDICT, SECRET, 400),
        ("/v1/models/attack%0Aat%1Bdawn:predict", GOOD, 404),
        ("/attack/dawn?crimson=attack", None, 404),
    ],
)
def test_the_log_holds_id_and_lengths_only(server, ask, caplog, wait_until, path, body, status):
    """Neither text nor name nor escape sequence of a request, whether it succeeds or not."""
    with caplog.at_level(logging.INFO):
        answer = ask(server, path, body)
        wait_until(lambda: f"request {answer.headers['x-request-id']} " in caplog.text)
    assert answer.status == status
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("serving")]
    assert f"status {status}, received" in lines[-1]
    for word in ("attack", "dawn", "crimson", "\n", "\x1b"):
        assert word not in "".join(lines)


def test_a_bug_is_answered_and_logged_by_place(server, ask, caplog, monkeypatch):
    """500 with the request's id; the exception's words, which may quote a prompt, stay inside."""

    def broken(models, spec, body):
        raise RuntimeError(SECRET)

    with monkeypatch.context() as patch, caplog.at_level(logging.INFO):
        patch.setitem(inference.ACTIONS, "predict", broken)
        answer = ask(server, PREDICT, GOOD)
    assert answer.status == 500
    assert answer.error == f"internal error; request {answer.headers['x-request-id']}"
    assert "RuntimeError at " in caplog.text
    assert "test_server_access.py:" in caplog.text
    assert "attack" not in caplog.text + answer.text
    assert "Traceback" not in caplog.text
    assert ask(server, PREDICT, GOOD).status == 200
