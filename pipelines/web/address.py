"""Addresses that may be fetched, and the one machine that each leads to.

What a list of addresses names must not reach machines inside the house: a host is looked up once,
every answer must be a public address, and the connection goes to the very one that was checked.
IP addresses in other than their usual form are refused, as parsers do not agree on them.

References:
    RFC 3986, sections 3 and 7.4 (rare forms of IP addresses); RFC 6890 (special-purpose
    addresses); WHATWG URL, section 3.5 (hosts that end in a number).
"""

from __future__ import annotations

import ipaddress
import re
import socket
import urllib.parse
from collections.abc import Callable, Sequence
from typing import NamedTuple

PORTS = {"http": 80, "https": 443}
#: Ports beside these serve mail, data bases and consoles.
ALLOWED_PORTS = frozenset((80, 443, 8080, 8443))
MAXIMUM_ADDRESS_CHARACTERS = 4096

_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_SAFE = "/%:@!$&'()*+,;=~-._?"
#: Networks that lead on to an IPv4 address within, or to nobody in particular.
_REFUSED = tuple(
    ipaddress.ip_network(each)
    for each in (
        *("::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16"),
        *("fec0::/10", "192.88.99.0/24"),
    )
)


class RefusedError(ValueError):
    """An address that is not fetched; says why."""


class UnreachableError(Exception):
    """A host that has no address."""


class Address(NamedTuple):
    """An address in its parts.

    Args:
        scheme: `http` or `https`.
        host: A name in ASCII and lower case, or an IP address without brackets.
        port: Its port.
        target: Path and query, percent-encoded.
    """

    scheme: str
    host: str
    port: int
    target: str

    @property
    def origin(self) -> str:
        """Scheme, host and port: what one robots.txt is for."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}"

    @property
    def url(self) -> str:
        """The whole address."""
        return self.origin + self.target


def parse(url: str, ports: frozenset[int] = ALLOWED_PORTS) -> Address:
    """Takes an address apart.

    >>> parse("HTTP://Example.org:80/a b?q=1#top").url
    'http://example.org/a%20b?q=1'

    Raises:
        RefusedError: It is none of the web, or not in its usual form.
    """
    if len(url) > MAXIMUM_ADDRESS_CHARACTERS or any(ord(c) < 32 or c == "\\" for c in url):
        raise RefusedError("too long, or with a control character or backslash")
    try:
        parts = urllib.parse.urlsplit(url)
        port, name, user = parts.port, parts.hostname, parts.username
    except ValueError:
        raise RefusedError("not an address") from None
    if parts.scheme not in PORTS:
        raise RefusedError("neither http: nor https:")
    if user is not None or not name:
        raise RefusedError("with a user name, or without a host")
    port = PORTS[parts.scheme] if port is None else port
    if port not in ports:
        raise RefusedError("a port other than " + ", ".join(map(str, sorted(ports))))
    target = urllib.parse.quote(parts.path or "/", safe=_SAFE)
    if parts.query:
        target += "?" + urllib.parse.quote(parts.query, safe=_SAFE)
    return Address(parts.scheme, _host(name, in_brackets="[" in parts.netloc), port, target)


def _host(name: str, in_brackets: bool) -> str:
    """The host in its one usual form."""
    if in_brackets:
        try:
            return ipaddress.IPv6Address(name).compressed
        except ValueError:
            raise RefusedError("an IPv6 address that is none") from None
    try:
        host = name if name.isascii() else name[:253].encode("idna").decode("ascii")
    except UnicodeError:
        raise RefusedError("a host that is no name") from None
    host = host.lower().removesuffix(".")
    labels = host.split(".")
    if len(host) > 253 or not all(map(_LABEL.fullmatch, labels)):
        raise RefusedError("a host that is no name")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError:
            raise RefusedError("an IP address in another than its usual form") from None
    if len(labels) < 2:
        raise RefusedError("a host without a domain")
    return host


def look_up(host: str, port: int) -> list[str]:
    """All IP addresses of a host, as the system's resolver gives them."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [str(each[4][0]) for each in found]


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet.

    >>> [is_public(each) for each in ("93.184.215.14", "127.0.0.1", "169.254.169.254", "::1")]
    [True, False, False, False]
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if any(ip in network for network in _REFUSED if network.version == ip.version):
        return False
    return ip.is_global and not (
        ip.is_multicast
        or ip.is_private
        or ip.is_reserved
        or ip.is_loopback
        or ip.is_link_local
        or ip.is_unspecified
    )


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def resolve(
    address: Address,
    resolver: Callable[[str, int], Sequence[str]] = look_up,
    allowed: Callable[[str], bool] = is_public,
) -> str:
    """The IP address to connect to.

    Args:
        address: What to fetch.
        resolver: Gives all addresses of a host's name; asked once.
        allowed: Whether one may be connected to.

    Raises:
        RefusedError: One of the answers is not public; a name that has both kinds is a trick.
        UnreachableError: There is no answer.
    """
    found = [address.host]
    if not _is_ip(address.host):
        found = list(resolver(address.host, address.port))
    if not found:
        raise UnreachableError
    if not all(map(allowed, found)):
        raise RefusedError("leads to an address that is not public")
    return found[0]
