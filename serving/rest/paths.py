"""Which model, version and action a request's path names."""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import unquote_to_bytes

from serving.errors import invalid
from serving.models.model_spec import ModelSpec

Action = Literal["predict", "classify", "regress", "status", "metadata"]

_MODEL = r"/v1/models/(?P<name>[^/:]+)"
_VERSION = r"(?:/versions/(?P<version>[0-9]+)|/labels/(?P<label>[^/:]+))?"
#: Letter case is free everywhere but in the verb; that is checked afterwards.
_POST = re.compile(rf"(?i){_MODEL}{_VERSION}:(?P<action>classify|regress|predict)")
_GET = re.compile(rf"(?i)/v1/models(?:/(?P<name>[^/:]+))?{_VERSION}(?P<action>/metadata)?")
_LARGEST_VERSION = 2**63 - 1


def belongs_here(path: str) -> bool:
    """Whether the path is this API's at all; others are plainly not found.

    Example:
    >>> belongs_here("/V1/models"), belongs_here("/v1"), belongs_here("/index")
    (True, False, False)
    """
    return path[:4].lower() == "/v1/"


def parse(method: str, target: str) -> tuple[Action, ModelSpec]:
    """Reads a request line.

    Args:
        method: HTTP method.
        target: Path as sent, still percent-encoded, with its query string if any: a query is no
            part of this API and makes the request malformed.

    Raises:
        ServingError: INVALID_ARGUMENT; no action of this API looks like that.

    Example:
    >>> parse("POST", "/v1/models/half%20plus/versions/007:predict")
    ('predict', ModelSpec(name='half plus', version=7, label=None))
    """
    pattern = {"POST": _POST, "GET": _GET}.get(method)
    match = pattern.fullmatch(target) if pattern else None
    action = _action(method, match) if match else None
    if match is None or action is None:
        raise invalid(f"Malformed request: {method} {target}")
    spec = ModelSpec(_decode(match["name"]), _version(match["version"]), _label(match["label"]))
    if not spec.name:
        raise invalid("Missing model name in request.")
    return action, spec


def _action(method: str, match: re.Match[str]) -> Action | None:
    """The action of a matched path; None if the verb's case is wrong."""
    found = match["action"]
    if method == "GET":
        return "metadata" if found == "/metadata" else "status"
    verbs: tuple[Action, ...] = ("predict", "classify", "regress")
    return next((verb for verb in verbs if verb == found), None)


def _version(digits: str | None) -> int | None:
    if digits is None:
        return None
    if len(digits.lstrip("0")) > 19 or int(digits) > _LARGEST_VERSION:
        raise invalid(f"Failed to convert version: {digits} to numeric.")
    return int(digits)


def _label(text: str | None) -> str | None:
    return None if text is None else _decode(text)


def _decode(text: str | None) -> str:
    return unquote_to_bytes(text or "").decode("utf-8", errors="replace")
