"""Which documents may be used at all: licences, consent, opt-outs, blocked addresses, toxic words.

Every list is a file that the user gives; nothing is fetched. Lists are read once, and a document
costs a few look-ups, whatever their length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from llm_keras import config
from llm_keras.data import licences
from llm_keras.data.document import Document
from llm_keras.data.rules.verdict import KEEP, Verdict, drop
from llm_keras.errors import UserError

_SCHEME = re.compile(r"(https?://)?(www\.)?", re.IGNORECASE)
_CAMPAIGN = re.compile(r"\?(utm_|ref|feed).*", re.DOTALL)
_WORD = re.compile(r"\w+")
#: Folders of an address, and domains of a host, that are looked up.
MAXIMUM_PARTS = 32
#: Languages without spaces: a listed word counts wherever it stands.
_UNSPACED = frozenset(("ja", "km", "lo", "my", "th", "zh"))


def normalize_url(url: str) -> str:
    """Makes addresses of one page equal.

    Left out are http(s)://, www., what campaigns add (?utm_, ?ref, ?feed) and slashes at the end;
    the host is in small letters.

    >>> normalize_url("https://www.Example.org/News/?utm_source=x")
    'example.org/News'

    References:
        Raffel et al. 2020 (C4); TensorFlow Datasets, `normalize_url`.

    Differs from the source: the scheme goes only where it begins the address, www. also without
        it, and capitals of hosts make no difference.
    """
    url = _CAMPAIGN.sub("", _SCHEME.sub("", url.strip(), count=1))
    host, slash, path = url.partition("/")
    return (host.lower() + slash + path).rstrip("/")


class Screen:
    """What `config.Screening` asks, made once from its lists.

    Args:
        settings: Licences, files of opt-outs, folders of blocked addresses, files of words.

    Raises:
        UserError: A list cannot be read; names the file.
    """

    #: Every reason a document may be dropped for.
    reasons: tuple[str, ...] = (
        "consent_refused",
        "no_consent",
        "licence",
        "opt_out",
        "blocked_domain",
        "blocked_url",
        "toxic_words",
    )

    def __init__(self, settings: config.Screening) -> None:
        self.settings = settings
        self._opted_out = frozenset(
            form
            for file in settings.opt_out
            for line in _lines(Path(file))
            for form in (line.lower(), normalize_url(line).lower())
        )
        self._blocked = _Addresses(settings.blocked_urls) if settings.blocked_urls else None
        self._words = {
            language: _WordList.read(Path(file), language)
            for language, file in settings.toxic_words.items()
        }

    def admit(self, document: Document) -> Verdict:
        """Asks what does not depend on the text; private documents need a yes, not a silence."""
        verdict = self._licensed(document)
        if not verdict.keep:
            return verdict
        if self._opted_out and not self._opted_out.isdisjoint(_names(document)):
            return drop("opt_out")
        if self._blocked is not None and document.url:
            return self._blocked.verdict(document.url)
        return KEEP

    def toxicity(self, text: str, language: str | None) -> Verdict:
        """Counts the words and phrases of the language's list, and of that for any language.

        Args:
            text: The text.
            language: Its tag, such as en or pt-BR; None: only the list for any language counts.
        """
        if not self._words:
            return KEEP
        base = (language or "").lower().partition("-")[0]
        lists = [self._words[tag] for tag in (base, "*") if tag in self._words]
        small = text.lower() if lists else ""
        count = sum(each.count(small) for each in lists)
        if count > self.settings.maximum_toxic_words:
            return drop("toxic_words", f"{count} > {self.settings.maximum_toxic_words}")
        return KEEP

    def _licensed(self, document: Document) -> Verdict:
        """Fails closed: a private document goes on with consent, or a licence that is allowed."""
        if document.consent is False:
            return drop("consent_refused")
        allowed = self.settings.allowed_licences
        fine = licences.allowed(document.licence, allowed) if allowed is not None else None
        if document.private:
            return KEEP if document.consent or fine else drop("no_consent")
        return (
            drop("licence", f"none of the {len(allowed or ())} allowed") if fine is False else KEEP
        )


def _names(document: Document) -> Iterator[str]:
    """Everything by which a document may be opted out, in small letters.

    Its id; its address, the folders above it and its domains; its place in the source and the
    folders above, so that `owner/repository` takes out the whole of it.
    """
    yield document.id.lower()
    if document.url:
        yield from _parts_of_url(document.url)
    if document.locator:
        yield document.locator.lower()
        for part in document.locator.lower().split("#"):
            yield from _above(part)


def _parts_of_url(url: str) -> Iterator[str]:
    """The address, the folders above it, its host and the domains above that."""
    whole = normalize_url(url).lower()
    yield whole
    path = re.split(r"[?#]", whole, maxsplit=1)[0].rstrip("/")
    yield from _above(path)
    host = path.partition("/")[0].rpartition("@")[2].partition(":")[0].rstrip(".")
    labels = host.split(".")[-MAXIMUM_PARTS:]
    yield from (".".join(labels[start:]) for start in range(len(labels)) if host)


def _above(path: str) -> Iterator[str]:
    """`a/b/c`, `a/b`, `a`; of a long path the last folders and the first are left out."""
    parts = path.split("/")
    for end in range(min(len(parts), MAXIMUM_PARTS), 0, -1):
        yield "/".join(parts[:end])


def _entry(line: str) -> str:
    """A line of a block list as addresses are compared; most are domains and nothing else."""
    if "/" in line or "?" in line:
        return normalize_url(line).lower()
    return line.lower().removeprefix("www.")


class _Addresses:
    """Domains and addresses of block lists: 10 bytes each, for lists have millions.

    Args:
        paths: Files or folders of lists.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self.categories: list[str] = []
        hashes, categories = [np.zeros(0, np.int64)], [np.zeros(0, np.int16)]
        for file, category in (found for path in paths for found in _list_files(Path(path))):
            if category not in self.categories:
                self.categories.append(category)
            # Python's own hash differs from process to process, but is not taken out of this one.
            forms = (hash(_entry(line)) for line in _lines(file))
            added = np.fromiter(forms, np.int64)
            hashes.append(added)
            categories.append(np.full(len(added), self.categories.index(category), np.int16))
        all_hashes = np.concatenate(hashes)
        self.hashes, first = np.unique(all_hashes, return_index=True)
        self.category_of = np.concatenate(categories)[first]

    def verdict(self, url: str) -> Verdict:
        """Drops an address that is listed, below a listed one, or of a listed domain."""
        forms = list(_parts_of_url(url))
        if not len(self.hashes):
            return KEEP
        wanted = np.array([hash(form) for form in forms], np.int64)
        places = np.minimum(np.searchsorted(self.hashes, wanted), len(self.hashes) - 1)
        listed = np.flatnonzero(self.hashes[places] == wanted)
        if not len(listed):
            return KEEP
        name = "blocked_url" if "/" in forms[listed[0]] else "blocked_domain"
        return drop(name, self.categories[self.category_of[places[listed[0]]]])


class _WordList(NamedTuple):
    """Words and phrases of one list.

    Args:
        by_first: First run of letters and digits -> the entries that begin with it.
        anywhere: Entries that count wherever they stand.
    """

    by_first: dict[str, tuple[str, ...]]
    anywhere: tuple[str, ...]

    @classmethod
    def read(cls, file: Path, language: str) -> _WordList:
        by_first: dict[str, list[str]] = {}
        anywhere = []
        for entry in dict.fromkeys(line.lower() for line in _lines(file)):
            first = _WORD.match(entry)
            if first is None or language in _UNSPACED:
                anywhere.append(entry)
            else:
                by_first.setdefault(first[0], []).append(entry)
        return cls({first: tuple(each) for first, each in by_first.items()}, tuple(anywhere))

    def count(self, text: str) -> int:
        """Occurrences of entries; before and after one stands no letter or digit."""
        total = sum(text.count(entry) for entry in self.anywhere)
        if self.by_first.keys().isdisjoint(_WORD.findall(text)):
            return total
        for match in _WORD.finditer(text):
            for entry in self.by_first.get(match[0], ()):
                end = match.start() + len(entry)
                if text.startswith(entry, match.start()) and not _WORD.match(text, end):
                    total += 1
        return total


def _list_files(path: Path) -> Iterator[tuple[Path, str]]:
    """A list, or the `domains` and `urls` of every category in a folder, and the category."""
    if not path.is_dir():
        yield path, path.stem
        return
    files = sorted(each for name in ("domains", "urls") for each in path.rglob(name))
    if not files:
        raise UserError(
            f"{path}: expected files named domains or urls, as UT1's lists have them, found none;"
            " name the folder that they are in, or a file"
        )
    yield from ((file, file.parent.name) for file in files)


def _lines(file: Path) -> Iterator[str]:
    """The lines of a list, without comments and blank lines."""
    try:
        with file.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                entry = line.strip()
                if entry and not entry.startswith("#"):
                    yield entry
    except OSError as error:
        raise UserError(f"{file}: cannot be read as a list: {error.strerror}") from None
