"""corpus/report.html of a made-up corpus: what it says, and what it never does."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from llm_keras import config
from llm_keras.errors import UserError
from llm_keras.run_folder import RunFolder
from pipelines.report import attempt_report, write_report
from tests.html_page import Page

from . import made_up


def page_of(folder: RunFolder, run: config.Run | None = None) -> Page:
    path = write_report(folder, run)
    assert path == folder.corpus / "report.html"
    page = Page(path.read_text(encoding="utf-8"))
    assert not page.open
    return page


@pytest.fixture(scope="module")
def hundred(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, Page]:
    """A corpus of a hundred sources with everything that there can be, and its page."""
    run = made_up.run_of(100, preset="fineweb", redact={}, mixture={}, maximum_dead_fraction=0.01)
    folder = made_up.make(tmp_path_factory.mktemp("runs") / "hundred", 100, run, tokens=True)
    return folder, page_of(folder)


@pytest.fixture
def three(tmp_path: Path) -> RunFolder:
    """A small corpus without settings and records."""
    return made_up.make(tmp_path / "three", 3)


def changed(folder: RunFolder, **values: Any) -> dict[str, Any]:
    """Writes other values into curation.json."""
    curation = json.loads(folder.curation.read_text()) | values
    folder.curation.write_text(json.dumps(curation))
    return dict(curation)


def test_every_part_is_there(hundred: tuple[RunFolder, Page]) -> None:
    """Figures that can be worked out from the counts stand on the page."""
    folder, page = hundred
    curation = json.loads(folder.curation.read_text())
    kept = sum(counts["kept"] for counts in curation["sources"].values())
    seen = sum(counts["in"] for counts in curation["sources"].values())
    near = sum(counts["dropped"]["near_duplicate"] for counts in curation["sources"].values())
    for words in [
        f"{kept:,} of {seen:,} documents kept ({100 * kept / seen:.1f}%)",
        "Step urls dropped nothing at all.",
        "More than 1.0% could not be read of code-01.",
        "The mixture is not as asked for: papers-00, letters-00.",
        "2,500,000 training tokens",
        f"near duplicate {near:,} documents",
        "urls no effect older pages of one address",
        "5 reasons for which nothing was dropped toxic words, empty, blocked domain",
        "26 copies of 3 documents were dropped.",
        "20 copies 10 duplicate, 10 near duplicate; the least similarity is 0.71",
        "Tokens by source",
        "2 of 100 are more than 5% off.",
        "papers-00 off",
        "language share documents bytes en",
        "documents nobody has named a licence.",
        "Files passed over because of their names: code-00 4.",
        "In kept documents. 34 sources had none.",
        "Errors that differ in numbers alone are one.",
        "not utf-8 at byte 7 200 100 sources a.txt line 0",
        f"settings hash {'ef' * 32}",
        "preset: fineweb",
    ]:
        assert words in page.text, words


def test_a_hundred_sources_can_be_read(hundred: tuple[RunFolder, Page]) -> None:
    """Long tables are open at their beginning, sorted; the page stays light."""
    folder, page = hundred
    assert "85 more sources" in page.text
    assert "80 more sources" in page.text
    assert page.tags.count("svg") > 100
    assert page.values("class").count("chart") == 9
    assert folder.corpus_report.stat().st_size < 600_000
    content = folder.corpus_report.read_text()
    rows = re.findall(r'<th scope="row">((?:web|books|code|papers|letters)-\d\d)</th>', content)
    seen = {name: counts["in"] for name, counts in _sources(folder).items()}
    assert rows[:100] == sorted(seen, key=lambda name: (-seen[name], name))


def _sources(folder: RunFolder) -> dict[str, Any]:
    return dict(json.loads(folder.curation.read_text())["sources"])


def test_limits_are_drawn(hundred: tuple[RunFolder, Page]) -> None:
    """Those of the run's rules, on the measures they are about, and how much is beyond."""
    folder, page = hundred
    for sign in ["≥ 50", "≤ 100k", "≥ 3", "≤ 10", "≥ 0.8", "≤ 0.01", "≥ 0.12", "≤ 0.67", "≥ 0.65"]:
        assert sign in page.text, sign
    counts = json.loads(folder.curation.read_text())["histograms"]["short_lines"]
    beyond = sum(count for label, count in counts.items() if float(label) >= 0.67)
    share = 100 * beyond / sum(counts.values())
    assert f"{share:.1f}% above 0.67" in page.text


def test_kept_and_dropped_stand_side_by_side(hundred: tuple[RunFolder, Page]) -> None:
    """Each rule with its examples; of a copy the document that stays is beside it."""
    folder, page = hundred
    content = folder.corpus_report.read_text()
    for reason, (_, detail) in made_up.REASONS.items():
        assert reason.replace("_", " ") in page.text
        if detail is not None and reason not in ("licence",):
            assert detail in page.text, reason
    pairs = content.split('<div class="pair">')[1:]
    copies = [pair for pair in pairs if "similarity 0.87" in pair]
    assert copies
    assert all(made_up.text(1)[:60] in pair.partition("<h4>Kept")[2] for pair in copies)


def test_private_text_is_not_shown(hundred: tuple[RunFolder, Page]) -> None:
    _, page = hundred
    assert "secret of the house" not in page.text
    assert "A private document: its text is not shown." in page.text


def test_no_text_becomes_markup_and_nothing_is_asked_for(hundred: tuple[RunFolder, Page]) -> None:
    """Purpose, texts, details and errors are shown, never obeyed; nothing points outside."""
    folder, page = hundred
    content = folder.corpus_report.read_text()
    assert page.text.count(made_up.EVIL) >= 5
    assert not {"script", "img", "iframe", "object", "link", "base", "a"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert not {"src", "href", "xlink:href", "action", "data"} & {
        name for name, _ in page.attributes
    }
    assert "url(" not in content
    assert "@import" not in content
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes
    assert "prefers-color-scheme: dark" in content


def test_charts_say_what_they_show(hundred: tuple[RunFolder, Page]) -> None:
    _, page = hundred
    assert page.values("role").count("img") == page.tags.count("svg")
    said = page.values("aria-label")
    assert len([each for each in said if each.strip()]) == page.tags.count("svg")
    assert any(re.match(r"papers-00: [\d.]+%, [\d.]+% asked for", each) for each in said)


def test_without_settings_records_and_mixture(three: RunFolder) -> None:
    """What is not known is said; nothing is invented."""
    curation = changed(three, histograms={})
    del curation["mixture"]
    three.curation.write_text(json.dumps(curation))
    page = page_of(three)
    assert "No mixture is asked for: every document is read once." in page.text
    assert "Not counted in tokens yet: llm-keras tokenize makes it." in page.text
    assert "no rule that measures was on" in page.text
    assert "All settings" not in page.text
    assert " off " not in page.text


def test_records_of_another_curation_do_not_count(three: RunFolder) -> None:
    manifest = {"curation_hash": "00" * 32, "splits": {}, "sources": {}}
    three.manifest.write_text(json.dumps(manifest))
    assert "Not counted in tokens yet" in page_of(three).text


def test_a_corpus_of_one_source_without_anything_odd(tmp_path: Path) -> None:
    """Nothing to look at: no remark, no rows of all sources."""
    folder = made_up.make(tmp_path / "one", 1, made_up.run_of(1))
    counts = _sources(folder)["web-00"] | {"dropped": {"empty": 0}, "dead": 0, "redacted": {}}
    counts["in"] = counts["kept"]
    step = {"step": "read", "in": 5, "out": 5, "dropped": 0, "dead": 0, "alarm": None}
    changed(folder, sources={"web-00": counts}, steps=[step], mixture={})
    for path in folder.rejected.iterdir():
        made_up.write_lines(path, [])
    page = page_of(folder)
    assert "remark" not in " ".join(page.values("class"))
    assert "documents kept (100%)" in page.text
    assert "all sources" not in page.text
    assert "Nothing was dropped." in page.text
    assert "No document was dropped as a copy of another." in page.text
    assert "None: everything could be read." in page.text
    assert "None: corpus.redact is not set" in page.text


def test_a_rule_that_drops_most_is_named(three: RunFolder) -> None:
    sources = _sources(three)
    for counts in sources.values():
        counts["dropped"]["short_lines"] = 2 * counts["in"]
        counts["in"] *= 3
    changed(three, sources=sources)
    assert "66.7% were dropped for short lines. More than half of all" in page_of(three).text


def test_nothing_left_of_a_source_is_an_alarm(three: RunFolder) -> None:
    sources = _sources(three)
    gone = sources["books-00"]
    gone["dropped"]["language"] += gone["kept"]
    gone["kept"] = gone["bytes_kept"] = gone["bytes_kept_for_training"] = 0
    changed(three, sources=sources)
    page = page_of(three)
    assert "Nothing is left of books-00." in page.text
    assert "remark alarm" in page.values("class")


def test_a_copy_of_what_is_not_here(three: RunFolder) -> None:
    """A document of an earlier run has its id alone; one that was dropped later says so."""
    later = made_up.document("web-00", 1, reason="contaminated", detail="3 shared with quiz.jsonl")
    first = made_up.document("web-00", 2, reason="duplicate", detail=f"of {later['id']}")
    second = made_up.document("web-00", 3, reason="duplicate", detail="of older:00ff")
    made_up.write_lines(three.documents / "train-00000-of-00001.jsonl.gz", [])
    made_up.write_lines(three.rejected / "rejected-00000-of-00001.jsonl.gz", [later, first, second])
    page = page_of(three)
    assert "Stayed at that step, dropped later" in page.text
    assert "older:00ff is not in this corpus, or was not looked through." in page.text


def test_an_earlier_format_has_a_page(three: RunFolder) -> None:
    """Counts that an earlier version did not take are not there; the rest is."""
    curation = json.loads(three.curation.read_text())
    for name in ("steps", "mixture", "histograms", "languages", "licences"):
        del curation[name]
    for counts in curation["sources"].values():
        for name in ("redacted", "bytes_kept_for_training", "ignored_files", "first_dead"):
            del counts[name]
    three.curation.write_text(json.dumps(curation))
    assert "documents kept" in page_of(three).text


def test_dead_letters_without_their_files(three: RunFolder) -> None:
    """The first ones stand in the counts."""
    for path in three.dead_letters.iterdir():
        path.unlink()
    sources = _sources(three)
    sources["web-00"]["first_dead"] = {"a.gz line 3": "cut off"}
    changed(three, sources=sources)
    assert "cut off 1 web-00 a.gz line 3" in page_of(three).text


def test_errors(tmp_path: Path, three: RunFolder) -> None:
    """Nothing curated, or a damaged file: one line that names it; the old page stands."""
    with pytest.raises(UserError, match=r"curation\.json: is missing; run `llm-keras curate`"):
        write_report(RunFolder(tmp_path / "nothing"))
    before = write_report(three).read_bytes()
    damaged = next(three.rejected.iterdir())
    damaged.write_bytes(damaged.read_bytes()[:-9])
    with pytest.raises(UserError, match=r"rejected-00000-of-00001\.jsonl\.gz: damaged"):
        write_report(three)
    assert three.corpus_report.read_bytes() == before
    assert not list(three.corpus.glob("*.partial"))


def test_after_a_curation_a_failure_is_told_and_no_more(
    three: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    run = made_up.run_of(3)
    attempt_report(str(three.corpus), run)
    assert three.corpus_report.exists()
    three.curation.write_text("{}")
    attempt_report(str(three.corpus), run)
    attempt_report("gs://bucket/run/corpus", run)
    told = capsys.readouterr().err
    assert f"{three.corpus}: no report.html (KeyError); `llm-keras report` tries again" in told
    assert "no page in gs://bucket/run/corpus; copy it to disk" in told


def test_is_the_same_every_time(three: RunFolder) -> None:
    assert write_report(three).read_bytes() == write_report(three).read_bytes()


def test_needs_neither_beam_nor_tensorflow() -> None:
    code = (
        "import sys, pipelines.report, llm_keras.inspection.fate;"
        "print({'apache_beam', 'tensorflow', 'keras', 'matplotlib'} & set(sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "set()"
