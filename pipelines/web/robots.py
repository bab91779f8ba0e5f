"""Whether a site lets itself be fetched, and how often: its robots.txt.

References:
    RFC 9309, Robots Exclusion Protocol, sections 2.2 (rules), 2.3.1 (what each status means), 2.4
    (caching) and 2.5 (limits).

Differs from RFC 9309: status 429 counts as unreachable, not as unavailable: a server that is asked
too often does not say that everything may be fetched.
"""

from __future__ import annotations

from protego import Protego

from pipelines.web import http_message

#: As many bytes of a robots.txt must be read (section 2.5), and no more are.
MAXIMUM_BYTES = 500 * 1024
#: A site that wants a longer pause than this is left alone, in seconds.
LONGEST_PAUSE_SECONDS = 600.0

TOO_MANY_REQUESTS = 429


class Rules:
    """The rules of one site for one agent.

    Args:
        text: Its robots.txt; None: everything may be fetched, or nothing.
        user_agent: Who fetches.
        otherwise: What holds without a robots.txt.
    """

    def __init__(self, text: str | None, user_agent: str, otherwise: bool = True) -> None:
        self._rules = None if text is None else Protego.parse(text)
        self._user_agent = user_agent
        self._otherwise = otherwise

    def allow(self, url: str) -> bool:
        """Whether an address of the site may be fetched."""
        if self._rules is None:
            return self._otherwise
        allowed = bool(self._rules.can_fetch(url, self._user_agent))
        return allowed and self.pause_seconds <= LONGEST_PAUSE_SECONDS

    @property
    def pause_seconds(self) -> float:
        """How long the site wants to be left alone between requests; 0: it does not say."""
        if self._rules is None:
            return 0.0
        delay = self._rules.crawl_delay(self._user_agent) or 0.0
        rate = self._rules.request_rate(self._user_agent)
        return max(float(delay), rate.seconds / rate.requests if rate and rate.requests else 0.0)


def everything(user_agent: str) -> Rules:
    """The rules of a site that has none."""
    return Rules(None, user_agent, otherwise=True)


def nothing(user_agent: str) -> Rules:
    """The rules of a site whose rules cannot be had."""
    return Rules(None, user_agent, otherwise=False)


def from_response(message: bytes, user_agent: str) -> Rules:
    """The rules that an answer to the request for robots.txt means (RFC 9309, section 2.3.1)."""
    try:
        response = http_message.parse(message)
        if 200 <= response.status < 300:
            return Rules(_text(response), user_agent)
    except http_message.MessageError:
        return nothing(user_agent)
    if 400 <= response.status < 500 and response.status != TOO_MANY_REQUESTS:
        return everything(user_agent)
    return nothing(user_agent)


def _text(response: http_message.Response) -> str:
    """The first `MAXIMUM_BYTES` of a robots.txt."""
    body = response.body
    if len(body) < MAXIMUM_BYTES or response.values("content-encoding"):
        body = http_message.content(response, MAXIMUM_BYTES)
    return body[:MAXIMUM_BYTES].decode("utf-8", "replace").removeprefix("\ufeff")
