"""Pages fetched politely: lists of addresses become a web archive, which is then read.

Nothing is fetched while reading. `fetch_to_warc` is called once before, and only for a source of
kind `fetch`; the archive it writes holds every page and, for every address without one, the reason.
"""

from __future__ import annotations

import heapq
import os
import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from pathlib import Path

from llm_keras import config
from pipelines.sources import warc, warc_file
from pipelines.sources.record import Found, Passed, Unreadable
from pipelines.sources.warc_file import Damage, Record
from pipelines.web import fetcher, warc_writer
from pipelines.web.fetcher import Clock, Fetcher, Network, Page

#: Lists of addresses.
SUFFIXES = (".txt", ".text", ".urls")
REASONS = tuple(dict.fromkeys((*fetcher.REASONS, *warc.REASONS)))

FETCHED = "fetched"
MAXIMUM_LIST_BYTES = 64 * 2**20
_OUTCOME = "outcome: "
_USER = re.compile(r"//[^/?#]*@")


def addresses(path: Path) -> list[str]:
    """The addresses of a list: one a line, blank lines and those after `#` left out, none twice."""
    with path.open("rb") as file:
        lines = file.read(MAXIMUM_LIST_BYTES).decode("utf-8", "replace").splitlines()
    stripped = (line.strip().removeprefix("\ufeff") for line in lines)
    return list(dict.fromkeys(line for line in stripped if line and not line.startswith("#")))


def fetch_to_warc(
    urls: Iterable[str],
    settings: config.Fetch,
    out_path: Path,
    network: Network = fetcher.INTERNET,
    clock: Clock = fetcher.SYSTEM_CLOCK,
) -> dict[str, int]:
    """Fetches addresses into a web archive, which is complete or absent.

    Hosts take turns, so that while one rests another is asked.

    Args:
        urls: The addresses; one that stands there twice is fetched once.
        settings: Who fetches, how often, and the limits.
        out_path: The archive, `.warc.gz`.
        network: How hosts are reached; tests give another.
        clock: Time; tests give another.

    Returns:
        How many addresses were fetched, and how many were not for each of `fetcher.REASONS`.

    Raises:
        OSError: The archive cannot be written.
    """
    counts: Counter[str] = Counter()
    worker = Fetcher(settings, network, clock)
    partial = out_path.with_name(out_path.name + ".partial")
    try:
        with partial.open("wb") as file:
            file.write(_beginning(settings, clock))
            for url in _in_turns(urls, worker):
                found = worker.fetch(url)
                counts[FETCHED if isinstance(found, Page) else found] += 1
                file.write(_record(url, found, clock))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(out_path)
    finally:
        partial.unlink(missing_ok=True)
    return dict(counts)


def read(path: Path, source: config.Source) -> Iterator[Found]:
    """Reads an archive that `fetch_to_warc` wrote."""
    obey = source.fetch is None or source.fetch.obey_opt_out
    for found in warc_file.records(path):
        if isinstance(found, Damage):
            yield Unreadable(found.error, offset=found.offset)
        elif found.type == "metadata" and (reason := _reason(found)):
            yield Passed(reason, found.target_uri)
        elif found.type != "warcinfo":
            yield warc.page(found, obey)


def _in_turns(urls: Iterable[str], worker: Fetcher) -> Iterator[str]:
    """Yields addresses in the order in which their hosts may be asked."""
    hosts: dict[str, deque[str]] = {}
    for url in dict.fromkeys(urls):
        hosts.setdefault(url.partition("://")[2].partition("/")[0].lower(), deque()).append(url)
    waiting = [(0.0, turn, queue) for turn, queue in enumerate(hosts.values())]
    while waiting:
        _, turn, queue = heapq.heappop(waiting)
        url = queue.popleft()
        yield url
        if queue:
            heapq.heappush(waiting, (worker.ready(url), turn + len(hosts), queue))


def _beginning(settings: config.Fetch, clock: Clock) -> bytes:
    block = f"software: llm-keras\r\nhttp-header-user-agent: {settings.user_agent}\r\n".encode()
    return warc_writer.record("warcinfo", fetcher.stamp(clock), warc_writer.FIELDS_TYPE, block)


def _record(url: str, found: Page | str, clock: Clock) -> bytes:
    if isinstance(found, Page):
        return warc_writer.record(
            "response", found.date, warc_writer.RESPONSE_TYPE, found.message, found.url
        )
    place = _USER.sub("//", "".join(each for each in url if each.isprintable()))
    block = f"{_OUTCOME}{found}\r\n".encode()
    return warc_writer.record(
        "metadata", fetcher.stamp(clock), warc_writer.FIELDS_TYPE, block, place
    )


def _reason(record: Record) -> str | None:
    """Why an address has no page, as written by `fetch_to_warc`."""
    text = (record.content or b"").decode("utf-8", "replace").strip()
    reason = text.removeprefix(_OUTCOME)
    return reason if text.startswith(_OUTCOME) and reason in REASONS else None
