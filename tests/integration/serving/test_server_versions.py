"""Versions that come, break and go while requests are served."""

import shutil
import threading

import numpy as np
import pytest

from llm_keras.errors import UserError
from serving.models.manager import ModelManager
from serving.models.model_spec import ModelSpec
from serving.server import start_in_background
from serving.settings import Settings

MODEL = "/v1/models/model"
SPEC = ModelSpec("model")


@pytest.fixture(scope="module")
def versions(tmp_path_factory, write_version):
    """Finished versions 1 to 3, to copy from."""
    base = tmp_path_factory.mktemp("finished")
    for number in (1, 2, 3):
        write_version(base, number)
    return base


@pytest.fixture
def base(tmp_path, versions):
    """A model's folder that holds version 1."""
    shutil.copytree(versions / "1", tmp_path / "1")
    return tmp_path


@pytest.fixture
def manager(base):
    """Serves `base`; polled by hand, so that time plays no part."""
    manager = ModelManager("model", base, Settings(poll_seconds=0))
    manager.start()
    yield manager
    manager.stop()


def served(manager):
    with manager.hold(SPEC) as servable:
        return servable.version


def states(manager):
    return {status.version: status.state.value for status in manager.statuses(SPEC)}


def poll_twice(manager):
    """Once to see a version, once to see that it no longer changes."""
    manager.poll()
    manager.poll()


def test_the_newest_is_served_at_start(base, versions):
    """Older ones are not loaded, as with TensorFlow Serving's default policy."""
    shutil.copytree(versions / "3", base / "3")
    shutil.copytree(versions / "2", base / "2")
    manager = ModelManager("model", base, Settings(poll_seconds=0))
    assert manager.start() == 3
    assert states(manager) == {3: "AVAILABLE"}
    manager.stop()
    assert states(manager) == {3: "END"}


def test_a_newer_version_takes_over(manager, base, versions):
    """Seen, then loaded, then the old one unloads."""
    shutil.copytree(versions / "2", base / "2")
    manager.poll()
    assert (served(manager), states(manager)) == (1, {1: "AVAILABLE", 2: "START"})
    manager.poll()
    assert (served(manager), states(manager)) == (2, {1: "END", 2: "AVAILABLE"})
    shutil.rmtree(base / "2")
    poll_twice(manager)
    assert served(manager) == 1


def test_the_old_version_stays_for_the_requests_it_has(manager, base, versions):
    """It unloads after the last of them; new requests go to the new version meanwhile."""
    shutil.copytree(versions / "2", base / "2")
    manager.poll()
    with manager.hold(SPEC) as old:
        swap = threading.Thread(target=manager.poll)
        swap.start()
        while served(manager) != 2:
            pass
        assert states(manager)[1] in {"AVAILABLE", "UNLOADING"}
        signature = old.model.signatures["serving_default"]
        assert old.model.run(signature, {"x": np.float32([0])})["y"].tolist() == [1.0]
    swap.join()
    assert states(manager) == {1: "END", 2: "AVAILABLE"}


@pytest.mark.parametrize(
    "missing",
    [
        "saved_model.pb",
        "variables/variables.index",
        "variables/variables.data-00000-of-00001",
        "variables",
    ],
)
def test_a_half_copied_version_is_not_served(manager, base, versions, missing):
    """Whichever file is still to come; once it is there the version is."""
    shutil.copytree(versions / "2", base / "2")
    hidden = base / "hidden"
    (base / "2" / missing).rename(hidden)
    for _ in range(3):
        manager.poll()
    assert served(manager) == 1
    hidden.rename(base / "2" / missing)
    poll_twice(manager)
    assert served(manager) == 2


def test_a_version_that_still_grows_waits(manager, base, versions):
    """Every poll that sees a change waits for another."""
    shutil.copytree(versions / "2", base / "2")
    for size in range(3):
        (base / "2" / "assets" / "words").write_bytes(b"x" * size)
        manager.poll()
        assert served(manager) == 1
    manager.poll()
    assert served(manager) == 2


def cut(path):
    path.write_bytes(path.read_bytes()[:-20])


def flip(path):
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("saved_model.pb", cut),
        ("variables/variables.index", cut),
        ("variables/variables.data-00000-of-00001", cut),
        ("variables/variables.data-00000-of-00001", flip),
    ],
)
def test_a_broken_version_leaves_the_old_one(manager, base, versions, name, damage):
    """Its status tells why; it is tried once, and again when its files change."""
    shutil.copytree(versions / "2", base / "2")
    damage(base / "2" / name)
    poll_twice(manager)
    assert served(manager) == 1
    (status,) = manager.statuses(ModelSpec("model", 2))
    assert status.state.value == "END"
    assert status.error is not None
    assert "\n" not in status.error.message
    poll_twice(manager)
    assert manager.statuses(ModelSpec("model", 2)) == [status]
    shutil.copytree(versions / "2", base / "2", dirs_exist_ok=True)
    poll_twice(manager)
    assert served(manager) == 2
    assert states(manager) == {1: "END", 2: "AVAILABLE"}


def test_a_start_falls_back_to_the_version_before(base, versions):
    """A broken newest version does not keep a good one from being served."""
    shutil.copytree(versions / "2", base / "2")
    cut(base / "2" / "saved_model.pb")
    manager = ModelManager("model", base, Settings(poll_seconds=0))
    assert manager.start() == 1
    manager.stop()


def test_nothing_that_loads_is_a_mistake_in_one_line(base):
    """With the version and its reason."""
    cut(base / "1" / "saved_model.pb")
    with pytest.raises(UserError) as caught:
        ModelManager("model", base, Settings()).start()
    assert "has no version to serve: version 1: UNKNOWN: " in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "a/b", "a:b"])
def test_a_name_that_no_path_can_hold(tmp_path, name):
    """It could be served but never asked for."""
    with pytest.raises(UserError, match="cannot be in a path"):
        ModelManager(name, tmp_path, Settings())


def test_no_request_fails_while_versions_change(base, versions, ask, wait_until):
    """Four clients ask without pause through two swaps and a rollback, over HTTP."""
    settings = Settings(poll_seconds=0.05)
    answers, stop = [], threading.Event()

    def asking(url):
        while not stop.is_set():
            answers.append(ask(url, f"{MODEL}:predict", {"instances": [0.0]}))

    def answered(value):
        return answers[-1].status != 200 or answers[-1].json == {"predictions": [value]}

    with start_in_background(base, settings=settings) as url:
        clients = [threading.Thread(target=asking, args=[url]) for _ in range(4)]
        for client in clients:
            client.start()
        try:
            wait_until(lambda: answers and answered(1.0))
            shutil.copytree(versions / "2", base / "2")
            wait_until(lambda: answered(2.0))
            shutil.copytree(versions / "3", base / "3")
            wait_until(lambda: answered(3.0))
            shutil.rmtree(base / "3")
            wait_until(lambda: answered(2.0))
        finally:
            stop.set()
            for client in clients:
                client.join()
        status = ask(url, MODEL).json["model_version_status"]
        old = ask(url, f"{MODEL}/versions/1:predict", {"instances": [0.0]})
    assert {answer.status for answer in answers} == {200}
    assert [(item["version"], item["state"]) for item in status] == [
        ("3", "END"),
        ("2", "AVAILABLE"),
        ("1", "END"),
    ]
    assert (old.status, old.error) == (404, "Servable not found for request: Specific(model, 1)")
