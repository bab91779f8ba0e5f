"""How the embedded server behaves; one frozen object, given once at the start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from llm_keras.errors import UserError

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class Settings:
    """Limits and intervals of the server.

    Args:
        threads: Requests that run in the model at once; TensorFlow parallelises each one further.
        queue: Requests that wait for a thread; one more is answered 503.
        open_requests: Requests being received, waiting or running; one more is answered 503. With
            `body_bytes` this bounds the memory that requests can take.
        body_bytes: Largest request body, compressed or not; a larger one is answered 413.
        body_seconds: Longest time for a body to arrive; a slower one is answered 408.
        timeout_seconds: Longest run of the model; a longer one is stopped and answered 504.
            TensorFlow Serving's default is 30, too short for generation.
        drain_seconds: Time for running requests to finish after SIGTERM; then they are cancelled.
        poll_seconds: How often the model's folder is looked at for versions; 0 turns it off.
        warm_up: Runs a version's recorded requests before it is served; a failure is a failed load.
        labels: Names for versions, as `version_labels` of TensorFlow Serving's models.config.
        api_key: If given, every route needs `Authorization: Bearer <key>`.
    """

    threads: int = 4
    queue: int = 64
    open_requests: int = 256
    body_bytes: int = 8 * MEBIBYTE
    body_seconds: float = 30.0
    timeout_seconds: float = 300.0
    drain_seconds: float = 20.0
    poll_seconds: float = 1.0
    warm_up: bool = True
    labels: Mapping[str, int] = field(default_factory=dict)
    api_key: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name in ("threads", "open_requests", "body_bytes", "body_seconds", "timeout_seconds"):
            if getattr(self, name) <= 0:
                raise UserError(f"serving: {name} must be above 0, got {getattr(self, name)}")
        for name in ("queue", "drain_seconds", "poll_seconds"):
            if getattr(self, name) < 0:
                raise UserError(f"serving: {name} must not be negative, got {getattr(self, name)}")
