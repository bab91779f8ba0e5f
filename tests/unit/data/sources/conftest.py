"""What the tests of readers share: reading a file with the reader of its kind."""

import pytest

from llm_keras import config
from pipelines.sources import KINDS, Passed, Text, Unreadable


@pytest.fixture(scope="session")
def read():
    """Reads a file, after a check that only listed reasons and no text of it come back."""

    def _read(path, kind, **settings):
        source = config.Source(name="s", kind=kind, path="unused", **settings)
        found = list(KINDS[kind].read(path, source))
        for each in found:
            assert isinstance(each, Text | Passed | Unreadable)
            if isinstance(each, Passed):
                assert each.reason in KINDS[kind].reasons
        return found

    return _read


@pytest.fixture(scope="session")
def texts():
    return lambda found: [each.text for each in found if isinstance(each, Text)]


@pytest.fixture(scope="session")
def dead():
    return lambda found: [each for each in found if isinstance(each, Unreadable)]


@pytest.fixture(scope="session")
def passed():
    return lambda found: [each.reason for each in found if isinstance(each, Passed)]


@pytest.fixture
def write(tmp_path):
    def _write(data, name):
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return _write
