"""Where a version of a model stands."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from serving.errors import ServingError


class State(Enum):
    """The states of TensorFlow Serving, in the order a version passes through them."""

    START = "START"
    LOADING = "LOADING"
    AVAILABLE = "AVAILABLE"
    UNLOADING = "UNLOADING"
    END = "END"


@dataclass(frozen=True)
class VersionStatus:
    """A version's state, and why it ended if it failed."""

    version: int
    state: State
    error: ServingError | None = None
