"""Elements of a page that say what they are: menus, footers, forms, notices, what is not shown."""

from __future__ import annotations

import functools
import re


def words(text: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(text.split())


#: Elements that are never part of the text, whatever they say.
LEFT_OUT = words(
    "script style noscript template svg math canvas iframe object embed audio video map head"
    " button select option input textarea datalist dialog nav footer menu"
)

#: A name of more parts than this is a title, whatever words are in it.
MAXIMUM_NAME_PARTS = 3

_ROLES = words(
    "navigation banner contentinfo search complementary dialog alertdialog menu menubar toolbar"
    " tooltip alert"
)
#: Roles of an `aside` that belongs to the text.
_ROLES_OF_NOTES = words("note doc-footnote doc-endnotes")
#: First or last words in names of classes and ids.
_TELLING = words(
    "nav navbar navigation menu sidebar breadcrumb breadcrumbs footer cookie cookies consent gdpr"
    " share sharing social related recommended advert adverts advertisement ad ads promo sponsor"
    " sponsored popup modal newsletter subscribe signup login pagination pager toc skiplink"
    " headerlink editsection toolbar widget widgets banner noprint comment comments disqus"
    " search searchbox masthead"
)
_TELLING_NAMES = words("hidden is-hidden visually-hidden sr-only screen-reader-text")
_TELLING_PAIRS = words("skip-link skip-to back-to screen-reader")
#: Words that make a name one of the whole page's arrangement: `has-sidebar`, `no-banner`.
_OF_ARRANGEMENT = words("has with no without not layout")
_NEVER_TELLING = words("html body main article section h1 h2 h3 h4 h5 h6")
_HIDING = re.compile(r"display\s{0,9}:\s{0,9}none|visibility\s{0,9}:\s{0,9}hidden", re.IGNORECASE)


def by_attributes(name: str, attributes: dict[str, str]) -> bool:
    """Whether an element says by its role or its style that it is no part of the text.

    Args:
        name: The element's.
        attributes: Its attributes.
    """
    role = attributes.get("role", "").lower()
    if name == "aside" and role not in _ROLES_OF_NOTES:
        return "footnote" not in attributes.get("class", "")
    return name not in _NEVER_TELLING and (
        role in _ROLES
        or "hidden" in attributes
        or attributes.get("aria-hidden") == "true"
        or ("style" in attributes and _HIDING.search(attributes["style"]) is not None)
    )


def by_names(name: str, attributes: dict[str, str]) -> bool:
    """Whether the names of an element's classes, or its id, say so.

    Args:
        name: The element's.
        attributes: Its attributes.
    """
    if name in _NEVER_TELLING:
        return False
    return any(map(_tells, attributes.get("class", "").split())) or _tells(attributes.get("id", ""))


@functools.lru_cache(maxsize=2**14)
def _tells(name: str) -> bool:
    name = name.lower().replace("_", "-")
    parts = name.split("-")
    if len(parts) > MAXIMUM_NAME_PARTS or not _OF_ARRANGEMENT.isdisjoint(parts):
        return False
    return (
        name in _TELLING_NAMES
        or "-".join(parts[:2]) in _TELLING_PAIRS
        or parts[0] in _TELLING
        or parts[-1] in _TELLING
    )
