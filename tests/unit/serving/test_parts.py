"""Small parts: errors, settings, workers, the announcement, and what importing costs."""

import asyncio
import json
import subprocess
import sys
import threading

import pytest

from llm_keras.errors import UserError
from serving.announcement import announcement
from serving.errors import Code, ServingError, from_tensorflow
from serving.models.signature import PREDICT, Signature, TensorSpec
from serving.settings import Settings
from serving.workers import Workers


class OpError(Exception):
    """Looks like one of TensorFlow's."""

    def __init__(self, message, error_code):
        super().__init__(message)
        self.message = message
        self.error_code = error_code


@pytest.mark.parametrize(
    ("message", "number", "status", "text"),
    [
        ("too long\n\t [[{{node Assert}}]]", 3, 400, "too long"),
        ("bad [[{{node x}}]] [Op:MatMul]", 9, 400, "bad"),
        ("no memory [Op:Conv2D] name: ", 8, 429, "no memory"),
        ("{{function_node __f_3}} {{node x/Assert}} too long", 3, 400, "too long"),
        ("first\nsecond", 13, 500, "first"),
        ("", 14, 503, "the model failed without a message"),
        ("odd", 77, 500, "odd"),
    ],
)
def test_tensorflow_errors_become_one_line(message, number, status, text):
    """Nodes, operations and traces are cut."""
    error = from_tensorflow(OpError(message, number))
    assert (error.http_status, error.message) == (status, text)


@pytest.mark.parametrize("code", list(Code))
def test_every_code_has_a_status(code):
    """As the table of TensorFlow Serving; what it does not list is 500."""
    listed = {3: 400, 9: 400, 11: 400, 16: 401, 7: 403, 5: 404, 6: 409, 10: 409, 8: 429, 1: 499,
              12: 501, 14: 503, 4: 504}  # fmt: skip
    assert ServingError(code, "x").http_status == listed.get(code.value, 500)


@pytest.mark.parametrize(
    "change", [{"threads": 0}, {"body_bytes": 0}, {"timeout_seconds": -1.0}, {"queue": -1}]
)
def test_settings_out_of_range(change):
    """The field and its value are named."""
    (field, value) = next(iter(change.items()))
    with pytest.raises(UserError, match=f"serving: {field} must .* got {value}"):
        Settings(**change)


def test_the_key_is_not_in_the_settings_text():
    """Settings may end up in a log."""
    assert "secret" not in repr(Settings(api_key="secret"))


def test_workers_refuse_what_does_not_fit_and_recover():
    """One runs, one waits, the third is refused at once; afterwards there is room again."""
    release = threading.Event()
    workers = Workers(threads=1, queue=1)

    async def scenario():
        running = [asyncio.create_task(workers.run(release.wait)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(ServingError) as refused:
            await workers.run(release.wait)
        release.set()
        assert await asyncio.gather(*running) == [True, True]
        assert await workers.run(lambda: "again") == "again"
        return refused.value

    assert asyncio.run(scenario()).http_status == 503
    workers.stop()


def test_a_worker_is_taken_until_the_work_ends():
    """A client that leaves does not free the thread that still works for it."""
    release = threading.Event()
    workers = Workers(threads=1, queue=0)

    async def scenario():
        abandoned = asyncio.create_task(workers.run(release.wait))
        await asyncio.sleep(0.05)
        abandoned.cancel()
        await asyncio.wait([abandoned])
        with pytest.raises(ServingError, match="too many requests"):
            await workers.run(release.wait)
        release.set()

    asyncio.run(scenario())
    workers.stop()


class FakeServable:
    """A version with one signature."""

    version = 3

    def __init__(self, **inputs):
        self.model = self
        self.signatures = {"serving_default": Signature("serving_default", PREDICT, inputs, {})}


@pytest.mark.parametrize(
    ("inputs", "instance"),
    [
        ({"text": TensorSpec("t:0", "string", (-1,))}, "Once upon a time"),
        ({"x": TensorSpec("x:0", "float", (-1, -1, 2))}, [[1.0, 1.0]]),
        (
            {"n": TensorSpec("n:0", "int32", (-1, 2)), "b": TensorSpec("b:0", "bool")},
            {"n": [1, 1], "b": True},
        ),
    ],
)
def test_the_announced_command_fits_the_signature(inputs, instance):
    """It can be pasted into a shell and is answered."""
    text = announcement("model", FakeServable(**inputs), "http://127.0.0.1:8501", None)
    first, second = text.splitlines()
    assert first == "serving model version 3 at http://127.0.0.1:8501/v1/models/model"
    assert second.startswith("try: curl -d '{")
    assert json.loads(second.split("'")[1]) == {"instances": [instance]}
    assert second.endswith(" http://127.0.0.1:8501/v1/models/model:predict")


def test_the_announced_command_never_shows_the_key():
    """It names the variable that holds it."""
    servable = FakeServable(text=TensorSpec("t:0", "string", (-1,)))
    text = announcement("model", servable, "http://127.0.0.1:1", "LLM_KERAS_API_KEY")
    assert '-H "Authorization: Bearer $LLM_KERAS_API_KEY"' in text


def test_importing_the_server_loads_nothing_heavy():
    """Mistakes are told before TensorFlow loads; of llm_keras only the errors are used."""
    code = "import sys, serving.server; print(*sorted(m for m in sys.modules if '_' != m[0]))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    heavy = {"tensorflow", "keras", "numpy", "starlette", "uvicorn", "pydantic"}
    assert not heavy & set(loaded)
    assert {name for name in loaded if name.startswith("llm_keras")} == {
        "llm_keras",
        "llm_keras.errors",
    }
