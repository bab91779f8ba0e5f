"""Screening: licences and consent, opt-outs, block lists as UT1 has them, toxic words."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_keras import config
from llm_keras.data.document import Document
from llm_keras.data.screening import Screen, normalize_url
from llm_keras.errors import UserError
from tests.packages import fetch_npm


def document(**fields):
    return Document(**({"id": "web:1", "text": "t", "source": "web"} | fields))


def screen(**settings):
    return Screen(config.Screening(**settings))


def write(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("url", "same"),
    [
        ("http://example.org", "example.org"),
        ("https://www.example.org/", "example.org"),
        ("HTTPS://WWW.Example.ORG/A/B//", "example.org/A/B"),
        ("http://a.org/x?utm_source=y&id=3", "a.org/x"),
        ("http://a.org/x?ref=y", "a.org/x"),
        ("http://a.org/x?feed=rss2", "a.org/x"),
        ("http://a.org/x?id=3&utm_source=y", "a.org/x?id=3&utm_source=y"),
        ("http://a.org/?go=http://www.b.org", "a.org/?go=http://www.b.org"),
        ("", ""),
    ],
)
def test_addresses_of_one_page_are_made_equal(url, same):
    assert normalize_url(url) == same


@given(st.text(max_size=50))
def test_any_text_can_be_made_an_address_of(text):
    assert isinstance(normalize_url(text), str)


@pytest.mark.parametrize(
    ("allowed", "licence", "reason"),
    [
        (None, "unknown", ""),
        (("MIT",), "MIT", ""),
        (("MIT",), "mit", ""),
        (("MIT",), "unknown", "licence"),
        (("MIT",), "GPL-3.0-only", "licence"),
        (("MIT",), "MIT OR GPL-3.0-only", ""),
        (("MIT",), "MIT AND GPL-3.0-only", "licence"),
        ((), "MIT", "licence"),
    ],
)
def test_licences_that_are_listed_are_kept(allowed, licence, reason):
    assert screen(allowed_licences=allowed).admit(document(licence=licence)).reason == reason


@pytest.mark.parametrize(
    ("allowed", "licence", "consent", "reason"),
    [
        (None, "unknown", None, "no_consent"),
        (None, "MIT", None, "no_consent"),
        (("MIT",), "unknown", None, "no_consent"),
        (("MIT",), "MIT", None, ""),
        (None, "unknown", True, ""),
        (("MIT",), "unknown", True, ""),
        (None, "unknown", False, "consent_refused"),
        (("MIT",), "MIT", False, "consent_refused"),
    ],
)
def test_private_documents_need_a_yes(allowed, licence, consent, reason):
    private = document(private=True, licence=licence, consent=consent)
    assert screen(allowed_licences=allowed).admit(private).reason == reason


def test_a_no_counts_for_documents_that_are_not_private():
    assert screen().admit(document(consent=False)).reason == "consent_refused"


@pytest.mark.parametrize(
    ("entry", "out"),
    [
        ("web:1", True),
        ("https://sub.example.org/a/page.html", True),
        ("example.org", True),
        ("EXAMPLE.org", True),
        ("sub.example.org/a", True),
        ("owner/repository", True),
        ("owner", True),
        ("archive.tar.gz", True),
        ("ample.org", False),
        ("sub.example.org/a/page", False),
        ("repository", False),
        ("web:12", False),
        ("# web:1", False),
    ],
)
def test_opted_out_by_id_address_domain_or_place(tmp_path, entry, out):
    found = document(
        url="https://www.sub.example.org/a/page.html?utm_x=1",
        locator="archive.tar.gz#owner/repository/src/main.py",
    )
    verdict = screen(opt_out=[write(tmp_path / "list", "", entry)]).admit(found)
    assert verdict.reason == ("opt_out" if out else "")
    assert "example" not in verdict.detail


@pytest.fixture
def blocked(tmp_path):
    write(tmp_path / "ut1/gambling/domains", "bets.example", "www.dice.example")
    write(tmp_path / "ut1/gambling/urls", "shared.example/~bets", "other.example/a/b/")
    write(tmp_path / "ut1/malware/domains", "bad.example", "192.0.2.7")
    write(tmp_path / "ut1/malware/usage", "black")
    return screen(blocked_urls=[str(tmp_path / "ut1")])


@pytest.mark.parametrize(
    ("url", "reason", "detail"),
    [
        ("https://bets.example/", "blocked_domain", "gambling"),
        ("https://www.a.bets.example:8080/x?y=z", "blocked_domain", "gambling"),
        ("http://user@dice.example", "blocked_domain", "gambling"),
        ("https://192.0.2.7/x", "blocked_domain", "malware"),
        ("https://shared.example/~bets/more.html?q", "blocked_url", "gambling"),
        ("https://other.example/a/b", "blocked_url", "gambling"),
        ("https://other.example/a/bc", "", ""),
        ("https://shared.example/", "", ""),
        ("https://notbets.example/", "", ""),
        ("https://black/", "", ""),
        ("", "", ""),
        (None, "", ""),
    ],
)
def test_block_lists_hold_domains_and_addresses(blocked, url, reason, detail):
    verdict = blocked.admit(document(url=url))
    assert (verdict.reason, verdict.detail) == (reason, detail)


def test_a_list_may_be_one_file(tmp_path):
    one = screen(blocked_urls=[write(tmp_path / "mine.txt", "# mine", "bets.example")])
    assert one.admit(document(url="http://bets.example/x")).detail == "mine"


def test_a_million_entries_cost_a_document_nothing(tmp_path):
    file = write(tmp_path / "domains", *(f"host{i}.example" for i in range(100_000)))
    full = screen(blocked_urls=[file], opt_out=[file])
    found = document(url="https://a.b.c.unlisted.example/" + "x/" * 1000)
    start = time.process_time()
    for _ in range(100):
        assert full.admit(found).keep
    assert time.process_time() - start < 2


@pytest.mark.parametrize("settings", ["opt_out", "blocked_urls"])
def test_a_list_that_is_not_there_is_named(tmp_path, settings):
    with pytest.raises(UserError, match=r"missing\.txt: cannot be read as a list"):
        screen(**{settings: [str(tmp_path / "missing.txt")]})


def test_a_folder_without_lists_is_named(tmp_path):
    with pytest.raises(UserError, match="domains or urls"):
        screen(blocked_urls=[str(tmp_path)])


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Darn! Heck, and DARN.", 3),
        ("darning hecks undarn", 0),
        ("oh my word, Oh My Word", 2),
        ("oh my words", 0),
        ("a b*d one", 1),
        ("", 0),
    ],
)
def test_words_and_phrases_stand_alone(tmp_path, text, count):
    file = write(tmp_path / "en", "darn", "heck", "oh my word", "b*d")
    for maximum in range(4):
        chosen = screen(toxic_words={"en": file}, maximum_toxic_words=maximum)
        verdict = chosen.toxicity(text, "en-GB")
        assert verdict.reason == ("toxic_words" if count > maximum else "")
        assert verdict.detail in ("", f"{count} > {maximum}")


def test_each_language_has_its_list_and_star_is_for_all(tmp_path):
    chosen = screen(
        toxic_words={
            "de": write(tmp_path / "de", "mist"),
            "*": write(tmp_path / "any", "darn"),
            "zh": write(tmp_path / "zh", "坏话"),
        }
    )
    assert chosen.toxicity("mist", "de").reason == "toxic_words"
    assert chosen.toxicity("mist", "en").keep
    assert chosen.toxicity("mist", None).keep
    assert chosen.toxicity("darn", None).reason == "toxic_words"
    assert chosen.toxicity("他说坏话了", "zh").reason == "toxic_words"


def test_the_lists_that_c4_uses(tmp_path):
    """npm naughty-words is LDNOOBW's list, by which C4 was made."""
    folder = fetch_npm("naughty-words", "1.2.0")
    lists = {}
    for file in folder.glob("*.json"):
        if file.stem in ("en", "de", "ja"):
            words = json.loads(file.read_text(encoding="utf-8"))
            lists[file.stem] = write(tmp_path / file.stem, *words)
    chosen = screen(toxic_words=lists)
    for language, file in lists.items():
        for word in Path(file).read_text(encoding="utf-8").split("\n"):
            assert chosen.toxicity(f"x {word} y", language).reason == "toxic_words"
    assert chosen.toxicity("A plain and decent sentence about Scunthorpe.", "en").keep


def test_no_reason_but_the_declared_ones():
    assert set(Screen.reasons) == {
        *("consent_refused", "no_consent", "licence", "opt_out"),
        *("blocked_domain", "blocked_url", "toxic_words"),
    }
