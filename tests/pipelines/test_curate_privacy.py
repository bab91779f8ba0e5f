"""Private sources, personal data, opt-outs and evaluation texts, through the whole stage."""

import json

import pytest

from pipelines.curate import curate

ADDRESS, PHONE, IBAN = "jane.doe@company.example", "+1 202 555 0143", "DE89 3704 0044 0532 0130 00"
SECRETS = (ADDRESS, PHONE, IBAN)


@pytest.fixture
def private(tmp_path, prose):
    """A private folder: thirty letters with personal data, copies and bad ones among them."""
    place = tmp_path / "private"
    place.mkdir()
    for number in range(30):
        signed = f"{prose(number)}\nWrite to {ADDRESS} or call {PHONE}, pay to {IBAN}.\n"
        (place / f"{number}.txt").write_text(signed)
    (place / "copy.txt").write_text((place / "0.txt").read_text())
    nearly = (place / "1.txt").read_text().replace(".", " indeed.", 1)
    (place / "nearly.txt").write_text(nearly)
    (place / "short.txt").write_text(f"short, {ADDRESS}")
    (place / "broken.txt").write_bytes(f"\xff{ADDRESS}".encode("latin-1"))
    return place


def _everything(folder, rows):
    """All that a curation wrote of documents, as one string."""
    found = [rows(place) for place in (folder.documents, folder.rejected, folder.dead_letters)]
    return json.dumps([found, json.loads(folder.curation.read_text())], ensure_ascii=False)


def test_without_licence_or_consent_nothing_private_is_used(
    make_run, private, letters, folder, rows, curation
):
    sources = [
        {"name": "open", "kind": "text", "path": str(letters)},
        {"name": "private", "kind": "documents", "path": str(private)},
    ]
    curate(make_run(private, sources=sources, maximum_dead_fraction=0.5), folder)
    assert {each["source"] for each in rows(folder.documents)} == {"open"}
    dropped = curation(folder)["sources"]["private"]["dropped"]
    assert {reason for reason, count in dropped.items() if count} == {"no_consent"}
    assert not [secret for secret in SECRETS if secret in _everything(folder, rows)]


def test_with_consent_it_is_redacted_wherever_it_is_written(
    make_run, private, folder, rows, curation, capfd, caplog
):
    source = {"kind": "documents", "consent": True}
    settings = {"deduplicate": {"near": {}}, "maximum_dead_fraction": 0.5}
    curate(make_run(private, source=source, **settings), folder)
    kept = rows(folder.documents)
    assert len(kept) == 30
    for each in kept:
        assert each["consent"] is True
        assert each["private"] is True
        marks = [each["text"][start:end] for start, end, _ in each["redacted"]]
        assert marks == ["<email>", "<phone>", "<iban>"]
    reasons = sorted(each["reason"] for each in rows(folder.rejected))
    assert reasons == ["duplicate", "near_duplicate", "too_few_words"]
    counts = curation(folder)["sources"]["s"]
    assert counts["redacted"] == {"email": 30, "phone": 30, "iban": 30}
    assert counts["dead"] == 1
    said = capfd.readouterr()
    everything = _everything(folder, rows) + said.out + said.err + caplog.text
    assert not [secret for secret in SECRETS if secret in everything]
    names = [str(path) for path in folder.corpus.rglob("*")]
    assert not [name for name in names if "jane" in name]


def test_open_sources_are_redacted_where_the_run_file_asks(make_run, private, folder, rows):
    settings = {"redact": {"kinds": ["email"], "replacement": "[{kind}]"}}
    curate(make_run(private, maximum_dead_fraction=0.5, **settings), folder)
    texts = [each["text"] for each in rows(folder.documents)]
    assert all("[email]" in text and PHONE in text and ADDRESS not in text for text in texts)


def test_opt_outs_and_blocked_addresses_have_no_document(make_run, folder, rows, tmp_path, prose):
    hosts = ("good.example", "out.example", "blocked.example")
    lines = [
        {"text": prose(number), "url": f"https://{host}/{number}"}
        for number, host in enumerate(hosts * 10)
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (tmp_path / "opt-out.txt").write_text("out.example\n")
    (tmp_path / "blocked").mkdir()
    (tmp_path / "blocked" / "domains").write_text("blocked.example\n")
    screening = {
        "opt_out": [str(tmp_path / "opt-out.txt")],
        "blocked_urls": [str(tmp_path / "blocked")],
    }
    curate(make_run(tmp_path / "a.jsonl", kind="jsonl", screening=screening), folder)
    assert {each["url"].split("/")[2] for each in rows(folder.documents)} == {"good.example"}
    reasons = {each["url"].split("/")[2]: each["reason"] for each in rows(folder.rejected)}
    assert reasons == {"out.example": "opt_out", "blocked.example": "blocked_domain"}


def test_licences_that_are_not_wanted_have_no_document(make_run, folder, rows, tmp_path, prose):
    tags = ["MIT", "GPL-3.0-only", None, "mit"]
    lines = [{"text": prose(i), "licence": tags[i % 4]} for i in range(40)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, lines)))
    source = {"columns": {"licence": "licence"}}
    screening = {"allowed_licences": ["MIT"]}
    run = make_run(tmp_path / "a.jsonl", kind="jsonl", source=source, screening=screening)
    curate(run, folder)
    kept = sorted(each["text"] for each in rows(folder.documents))
    assert kept == sorted(prose(i) for i in range(40) if i % 4 in (0, 3))
    assert {each["reason"] for each in rows(folder.rejected)} == {"licence"}


def test_evaluation_texts_have_no_document(make_run, folder, rows, letters, tmp_path, prose):
    passage = " ".join(prose(3).split()[20:40])
    (tmp_path / "evaluation.txt").write_text(f"Question: what follows? {passage}")
    settings = {"decontaminate": {"paths": [str(tmp_path / "evaluation.txt")]}}
    curate(make_run(letters, **settings), folder)
    (dropped,) = rows(folder.rejected)
    assert (dropped["text"], dropped["reason"]) == (prose(3), "contaminated")
    assert dropped["detail"] == "9 > 0 passages of 12 words: evaluation.txt"
    assert len(rows(folder.documents)) == 23


def test_a_list_that_changed_is_curated_anew(make_run, folder, letters, tmp_path):
    """The lists count as input, as sources do."""
    from pipelines.files import inputs

    words = tmp_path / "words.txt"
    words.write_text("nothing\n")
    run = make_run(letters, screening={"toxic_words": {"en": str(words)}})
    before = inputs(run)
    words.write_text("something else\n")
    assert inputs(run) != before


def test_a_mixture_states_how_often_each_source_is_read(
    make_run, folder, tmp_path, prose, curation
):
    for name, count in (("large", 60), ("small", 10)):
        (tmp_path / name).mkdir()
        for number in range(count):
            (tmp_path / name / f"{number}.txt").write_text(prose(number + 100 * count))
    sources = [
        {"name": name, "kind": "text", "path": str(tmp_path / name), "weight": 1}
        for name in ("large", "small")
    ]
    curate(make_run(tmp_path, sources=sources, mixture={"maximum_epochs": 3}), folder)
    found = curation(folder)["mixture"]
    sizes = {
        name: counts["bytes_kept_for_training"]
        for name, counts in curation(folder)["sources"].items()
    }
    assert found["small"]["epochs"] == 3
    assert found["large"]["asked"] == found["small"]["asked"] == 0.5
    read = {name: found[name]["epochs"] * sizes[name] for name in sizes}
    assert sum(read.values()) == pytest.approx(sum(sizes.values()), rel=1e-4)
    assert found["small"]["share"] == pytest.approx(read["small"] / sum(sizes.values()), rel=1e-4)
