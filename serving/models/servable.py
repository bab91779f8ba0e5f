"""A loaded version and the requests that hold it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition

from serving.models.saved_model import SavedModel


class Servable:
    """A loaded version that counts its users, so that it can be closed once nobody needs it.

    Args:
        version: The version's number.
        model: The loaded model; owned by this object from now on.
    """

    def __init__(self, version: int, model: SavedModel) -> None:
        self.version = version
        self.model = model
        self._users = 0
        self._changed = Condition()

    def hold(self) -> None:
        """One more request uses the version; `release` must follow."""
        with self._changed:
            self._users += 1

    @contextmanager
    def held(self) -> Iterator[None]:
        """The time of one request, which `hold` announced."""
        try:
            yield
        finally:
            with self._changed:
                self._users -= 1
                self._changed.notify_all()

    def wait_until_unused(self, seconds: float) -> bool:
        """Waits for the requests that run; False if some still do after `seconds`."""
        with self._changed:
            return self._changed.wait_for(lambda: self._users == 0, timeout=seconds)

    def close(self) -> None:
        """Frees the model; requests that still run are cancelled."""
        self.model.close()
