"""Fetches single pages politely: by the site's rules, at its pace, and never from inside the house.

For every hop of every address, redirects included: the address must be a usual one, its host must
lead to public addresses only, robots.txt must allow it, and the pause since the last request to
the host must be over. Only then one connection is made, to the address that was checked.
"""

from __future__ import annotations

import datetime
import ssl
import time
import urllib.parse
from collections.abc import Callable, Sequence
from typing import NamedTuple

from llm_keras import config
from pipelines.web import address as addresses
from pipelines.web import charset, http_client, http_message, opt_out, robots
from pipelines.web.address import Address, RefusedError, UnreachableError
from pipelines.web.http_client import FetchError, Limits

BLOCKED, ROBOTS, REDIRECTS, STATUS, NOT_TEXT, DAMAGED = (
    "blocked",
    "robots",
    "redirects",
    "status",
    "not_text",
    "damaged",
)
#: Why an address gave no page.
REASONS = (
    BLOCKED,
    ROBOTS,
    opt_out.REASON,
    REDIRECTS,
    STATUS,
    NOT_TEXT,
    DAMAGED,
    http_client.TIMEOUT,
    http_client.TOO_LARGE,
    http_client.CUT_SHORT,
    http_client.UNREACHABLE,
)

_REDIRECTING = frozenset((301, 302, 303, 307, 308))
_TEXTS = frozenset(("text/html", "application/xhtml+xml", "text/plain"))
_ROBOTS_REDIRECTS = 5


class Network(NamedTuple):
    """What the fetcher sees of the world; tests give it another.

    Args:
        resolve: All IP addresses of a host.
        allowed: Whether an IP address may be connected to.
        ports: Ports that may be.
        tls: Makes the settings of TLS.
    """

    resolve: Callable[[str, int], Sequence[str]] = addresses.look_up
    allowed: Callable[[str], bool] = addresses.is_public
    ports: frozenset[int] = addresses.ALLOWED_PORTS
    tls: Callable[[], ssl.SSLContext] = ssl.create_default_context


class Clock(NamedTuple):
    """Time: seconds that only grow, waiting, and the date."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    date: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC)


INTERNET, SYSTEM_CLOCK = Network(), Clock()


class Page(NamedTuple):
    """A page that was fetched.

    Args:
        url: Where it was found in the end.
        date: When, UTC.
        message: The response as it came.
    """

    url: str
    date: str
    message: bytes


class Fetcher:
    """Fetches pages one at a time.

    Args:
        settings: Who fetches, and the limits.
        network: How to reach hosts.
        clock: Time.
    """

    def __init__(self, settings: config.Fetch, network: Network, clock: Clock) -> None:
        self.settings, self.network, self.clock = settings, network, clock
        self._rules: dict[str, robots.Rules] = {}
        self._ready: dict[str, float] = {}

    def fetch(self, url: str) -> Page | str:
        """Fetches an address; returns the page, or one of `REASONS`."""
        try:
            return self._fetch(url)
        except RefusedError:
            return BLOCKED
        except UnreachableError:
            return http_client.UNREACHABLE
        except FetchError as error:
            return str(error)
        except http_message.MessageError:
            return DAMAGED

    def ready(self, url: str) -> float:
        """When the host of an address may be asked again, by the clock; 0 for one never asked."""
        try:
            return self._ready.get(addresses.parse(url, self.network.ports).host, 0.0)
        except RefusedError:
            return 0.0

    def _fetch(self, url: str) -> Page | str:
        for _ in range(self.settings.maximum_redirects + 1):
            place = addresses.parse(url, self.network.ports)
            ip = self._resolve(place)
            rules = self._rules_of(place, ip)
            if not rules.allow(place.url):
                return ROBOTS
            limits = Limits(self.settings.timeout_seconds, self.settings.maximum_bytes)
            message = self._get(place, ip, limits, rules.pause_seconds)
            response = http_message.parse(message)
            location = response.header("location")
            if response.status not in _REDIRECTING or not location:
                return self._judged(place, message, response)
            url = _join(place.url, location)
        return REDIRECTS

    def _judged(
        self, place: Address, message: bytes, response: http_message.Response
    ) -> Page | str:
        """The page of a final response, unless it is none or opts out."""
        if response.status != 200:
            return STATUS
        content_type = response.header("content-type") or ""
        kind = content_type.partition(";")[0].strip().lower()
        if kind not in _TEXTS:
            return NOT_TEXT
        body = http_message.content(response, self.settings.maximum_bytes)
        if self.settings.obey_opt_out:
            text = charset.decode(body[: opt_out.HEAD_CHARACTERS], content_type) or ""
            if opt_out.in_headers(response.headers) or opt_out.in_html(text):
                return opt_out.REASON
        return Page(place.url, stamp(self.clock), message)

    def _resolve(self, place: Address) -> str:
        return addresses.resolve(place, self.network.resolve, self.network.allowed)

    def _get(self, place: Address, ip: str, limits: Limits, pause_seconds: float) -> bytes:
        """Waits until the host may be asked, then asks it."""
        wait = self._ready.get(place.host, 0.0) - self.clock.now()
        if wait > 0:
            self.clock.sleep(wait)
        try:
            return http_client.get(place, ip, self.settings.user_agent, limits, self.network.tls)
        finally:
            pause = max(self.settings.seconds_between_requests, pause_seconds)
            self._ready[place.host] = self.clock.now() + pause

    def _rules_of(self, place: Address, ip: str) -> robots.Rules:
        """The rules of a site, asked for once."""
        if place.origin not in self._rules:
            self._rules[place.origin] = self._ask_for_rules(place, ip)
        return self._rules[place.origin]

    def _ask_for_rules(self, place: Address, ip: str) -> robots.Rules:
        """Fetches a robots.txt, following at most five redirects (RFC 9309, section 2.3.1.2)."""
        agent = self.settings.user_agent
        limits = Limits(self.settings.timeout_seconds, robots.MAXIMUM_BYTES, keep_partial=True)
        place = place._replace(target="/robots.txt")
        try:
            for _ in range(_ROBOTS_REDIRECTS + 1):
                message = self._get(place, ip, limits, 0.0)
                response = http_message.parse(message)
                location = response.header("location")
                if response.status not in _REDIRECTING or not location:
                    return robots.from_response(message, agent)
                place = addresses.parse(_join(place.url, location), self.network.ports)
                ip = self._resolve(place)
        except (RefusedError, UnreachableError, FetchError, http_message.MessageError):
            return robots.nothing(agent)
        return robots.everything(agent)


def stamp(clock: Clock) -> str:
    """The date as WARC has it."""
    return clock.date().strftime("%Y-%m-%dT%H:%M:%SZ")


def _join(base: str, location: str) -> str:
    """Where a redirect leads; servers write other characters than ASCII as they are, in UTF-8."""
    try:
        return urllib.parse.urljoin(base, location.encode("latin-1").decode("utf-8"))
    except ValueError:
        raise RefusedError("a redirect to no address") from None
