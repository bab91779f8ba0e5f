"""Asks a server the cases, over HTTP."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

from serving.conformance.cases import Case


def difference(url: str, case: Case, key: str | None = None) -> str | None:
    """Asks `case` and says how the answer differs from TensorFlow Serving's; None if it does not.

    Args:
        url: The server, as `http://127.0.0.1:8501`.
        case: What to ask.
        key: API key, if the server wants one.
    """
    status, content_type, text = ask(url, case, key)
    if status != case.status:
        return f"expected status {case.status}, got {status}: {text[:200]}"
    if case.says or case.answer:
        if content_type != "application/json":
            return f"expected application/json, got {content_type}"
        return _different_body(case, text)
    return None


def ask(url: str, case: Case, key: str | None = None) -> tuple[int, str | None, str]:
    """Status, content type and text of the answer."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=60)
    headers = dict(case.headers)
    if key:
        headers["Authorization"] = f"Bearer {key}"
    try:
        connection.request(case.method, case.path, case.body, headers)
        response = connection.getresponse()
        text = response.read().decode("utf-8", errors="replace")
        return response.status, response.getheader("content-type"), text
    finally:
        connection.close()


def _different_body(case: Case, text: str) -> str | None:
    try:
        body = json.loads(text)
    except ValueError:
        return f"not JSON: {text[:200]}"
    if case.says:
        message = body.get("error") if isinstance(body, dict) else None
        if set(body) == {"error"} and isinstance(message, str) and case.says in message:
            return None
        return f"expected an error that says {case.says!r}, got {text[:200]}"
    read = _as_written if case.as_written else json.loads
    if read(text) == read(case.answer):
        return None
    return f"expected {case.answer[:200]}, got {text[:200]}"


def _as_written(text: str) -> Any:
    """JSON with its numbers left as text, so that `9e+06` differs from `9000000.0`."""
    return json.loads(text, parse_float=str, parse_int=str, parse_constant=str)
