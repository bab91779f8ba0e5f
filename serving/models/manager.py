"""Keeps the newest good version of a model loaded while versions come and go on disk."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Lock, Thread

from llm_keras.errors import UserError
from serving.errors import Code, ServingError, invalid
from serving.models import versions
from serving.models.model_spec import ModelSpec
from serving.models.saved_model import SavedModel
from serving.models.servable import Servable
from serving.models.status import State, VersionStatus
from serving.models.versions import Fingerprint, Version
from serving.models.warmup import warm_up
from serving.settings import Settings

logger = logging.getLogger(__name__)

#: How long stopping waits for a version that is just being loaded.
_LOAD_PATIENCE_SECONDS = 5.0


class ModelManager:
    """One model by name: its newest version that loads is served.

    A new version loads before the old one unloads, so both are in memory for a moment and no
    request fails. A version that does not load leaves the old one in place, and is tried again when
    its files change. Removing the newest folder goes back to the one before.

    Args:
        name: The model's name in requests.
        base_path: Folder of the numbered version folders.
        settings: Uses `poll_seconds`, `timeout_seconds`, `warm_up` and `labels`.

    Raises:
        UserError: The name cannot be asked for.
    """

    def __init__(self, name: str, base_path: Path, settings: Settings) -> None:
        if not name or {"/", ":"} & set(name):
            raise UserError(f"model name {name!r} cannot be in a path; leave out / and :")
        self.name = name
        self.base_path = base_path
        self._settings = settings
        self._lock = Lock()
        self._current: Servable | None = None
        self._statuses: dict[int, VersionStatus] = {}
        self._failed: dict[int, Fingerprint] = {}
        self._seen: dict[int, Fingerprint] = {}
        self._stopping = Event()
        self._poller = Thread(target=self._poll_forever, name=f"poll {name}", daemon=True)

    def start(self) -> int:
        """Loads the newest good version and starts to look for others; returns its number.

        Raises:
            UserError: No version can be served.
        """
        for version in versions.scan(self.base_path):
            if self._replace_by(version):
                if self._settings.poll_seconds > 0:
                    self._poller.start()
                return version.number
        reasons = {number: str(status.error) for number, status in self._statuses.items()}
        raise UserError(versions.nothing_to_serve(self.base_path, reasons))

    def stop(self) -> None:
        """Unloads at once; what still runs is cancelled."""
        self._stopping.set()
        if self._poller.is_alive():
            self._poller.join(timeout=_LOAD_PATIENCE_SECONDS)
        with self._lock:
            current, self._current = self._current, None
        if current:
            self._unload(current)

    @contextmanager
    def hold(self, spec: ModelSpec) -> Iterator[Servable]:
        """The version that `spec` asks for, kept loaded until the block is left.

        Raises:
            ServingError: NOT_FOUND, or INVALID_ARGUMENT for an unknown label.
        """
        spec = self._resolve(spec)
        with self._lock:
            current = self._current
            if (
                current is None
                or spec.name != self.name
                or spec.version not in (None, current.version)
            ):
                raise ServingError(Code.NOT_FOUND, f"Servable not found for request: {spec}")
            current.hold()
        with current.held():
            yield current

    def statuses(self, spec: ModelSpec) -> list[VersionStatus]:
        """The state of one version, or of all that were ever tried, newest first.

        Raises:
            ServingError: NOT_FOUND, or INVALID_ARGUMENT for an unknown label.
        """
        spec = self._resolve(spec)
        with self._lock:
            known = dict(self._statuses) if spec.name == self.name else {}
        if spec.version is not None and spec.version not in known:
            raise ServingError(
                Code.NOT_FOUND, f"Could not find version {spec.version} of model {spec.name}"
            )
        if not known:
            raise ServingError(Code.NOT_FOUND, f"Could not find any versions of model {spec.name}")
        if spec.version is not None:
            return [known[spec.version]]
        return [known[number] for number in sorted(known, reverse=True)]

    def poll(self) -> None:
        """Looks at the folder once and moves to the newest good version, if that is another."""
        for version in versions.scan(self.base_path):
            if self._current and version.number == self._current.version:
                return
            if self._failed.get(version.number) == version.fingerprint:
                continue
            if self._seen.get(version.number) != version.fingerprint:
                self._seen[version.number] = version.fingerprint  # perhaps still being copied
                self._note(version.number, State.START)
                return
            if self._replace_by(version):
                return

    def _poll_forever(self) -> None:
        while not self._stopping.wait(self._settings.poll_seconds):
            try:
                self.poll()
            except Exception as error:  # the folder may vanish under the scan; look again
                logger.warning("looking for versions failed: %s", type(error).__name__)

    def _replace_by(self, version: Version) -> bool:
        """Loads `version`, then unloads the one before; False if it does not load."""
        self._note(version.number, State.LOADING)
        try:
            model = self._load(version)
        except ServingError as error:
            self._failed[version.number] = version.fingerprint
            self._note(version.number, State.END, error)
            return False
        with self._lock:
            if self._stopping.is_set():
                model.close()
                return False
            old, self._current = self._current, Servable(version.number, model)
        self._note(version.number, State.AVAILABLE)
        if old:
            self._unload(old)
        return True

    def _load(self, version: Version) -> SavedModel:
        model = SavedModel(version.folder, self._settings.timeout_seconds)
        if not self._settings.warm_up:
            return model
        try:
            warm_up(model, version.folder)
        except BaseException:
            model.close()
            raise
        return model

    def _unload(self, servable: Servable) -> None:
        """Frees a version after its last request, or at once when the server stops."""
        self._note(servable.version, State.UNLOADING)
        while not self._stopping.is_set() and not servable.wait_until_unused(seconds=0.2):
            pass
        servable.close()
        self._note(servable.version, State.END)

    def _note(self, version: int, state: State, error: ServingError | None = None) -> None:
        with self._lock:
            before = self._statuses.get(version)
            self._statuses[version] = VersionStatus(version, state, error)
        if before and before.state is state:
            return
        if error:
            logger.error("model %s version %d: %s, %s", self.name, version, state.value, error)
        else:
            logger.info("model %s version %d: %s", self.name, version, state.value)

    def _resolve(self, spec: ModelSpec) -> ModelSpec:
        if spec.label is None:
            return spec
        if spec.name != self.name or spec.label not in self._settings.labels:
            raise invalid(f"Unrecognized servable version label: {spec.label}")
        return ModelSpec(spec.name, self._settings.labels[spec.label])
