"""Equal and nearly equal documents, addresses and lines: what stays, across parts and runs."""

import json
import random

import numpy as np
import pytest

from llm_keras import config
from pipelines import components, curation_steps, keys, parts
from pipelines.curate import curate


@pytest.fixture
def write(tmp_path):
    """Writes rows as a file of JSON lines; returns its path."""

    def make(name, rows):
        path = tmp_path / f"{name}.jsonl"
        path.write_text("\n".join(json.dumps(row) for row in rows))
        return path

    return make


@pytest.fixture
def reasons(rows):
    """Reason of every dropped document, by its text."""
    return lambda folder: {each["text"]: each["reason"] for each in rows(folder.rejected)}


def _changed(text, number):
    words = text.split()
    words[len(words) // 2] = f"other{number}"
    return " ".join(words)


def test_of_nearly_equal_documents_one_stays(make_run, folder, write, prose, rows):
    texts = [prose(i) + " " + prose(i + 500) + " " + prose(i + 900) for i in range(30)]
    copies = [_changed(text, i) for i, text in enumerate(texts[:10])]
    path = write("a", [{"text": text} for text in [*texts, *copies]])
    curate(make_run(path, kind="jsonl", deduplicate={"near": {}}), folder)
    kept = {each["id"]: each["text"] for each in rows(folder.documents)}
    assert len(kept) == 30
    dropped = rows(folder.rejected)
    assert len(dropped) == 10
    for each in dropped:
        assert each["reason"] == "near_duplicate"
        stays, similarity = each["detail"].removeprefix("of ").split(", similarity ")
        assert stays < each["id"]
        pair = {each["text"], kept[stays]}
        assert pair in [{texts[i], copies[i]} for i in range(10)]
        assert float(similarity) == pytest.approx(_jaccard(*pair), abs=0.15)


def _jaccard(one, other):
    """Of sets of five words in a row."""

    def shingles(text):
        words = text.lower().replace(".", "").split()
        return {tuple(words[i : i + 5]) for i in range(len(words) - 4)}

    a, b = shingles(one), shingles(other)
    return len(a & b) / len(a | b)


def test_small_parts_and_rounds_of_stars_give_the_same(
    make_run, folder, write, prose, hashes, monkeypatch, tmp_path
):
    """Many parts, several partitions, and components found in rounds instead of in one worker."""
    random_ = random.Random(0)
    long = [prose(i) + " " + prose(i + 700) for i in range(40)]
    texts = [_changed(random_.choice(long), i) for i in range(150)] + long
    path = write("a", [{"text": text} for text in texts])
    run = make_run(path, kind="jsonl", deduplicate={"near": {}}, shards=2)
    curate(run, folder)
    expected = {name: value for name, value in hashes(folder).items() if "documents/" in name}
    dropped = len(texts) - len(long)
    counts = json.loads(folder.curation.read_text())
    assert counts["sources"]["s"]["dropped"]["near_duplicate"] >= dropped - 3
    monkeypatch.setattr(parts, "PART_DOCUMENTS", 7)
    monkeypatch.setattr(curation_steps, "EDGES_IN_ONE_WORKER", 0)
    rounds = []
    transform = curation_steps.rounds.Round
    monkeypatch.setattr(
        curation_steps.rounds, "Round", lambda *a: rounds.append(a) or transform(*a)
    )
    curate(run, folder)
    assert len(rounds) >= 4
    found = {name: value for name, value in hashes(folder).items() if "documents/" in name}
    assert set(found) == set(expected)
    again = json.loads(folder.curation.read_text())
    assert again["sources"] == counts["sources"]


def test_the_newest_page_of_an_address_stays(make_run, folder, write, prose, rows, reasons):
    stamped = [
        {"text": prose(1), "url": "https://example.org/a", "when": "2020-01-01T00:00:00Z"},
        {"text": prose(2), "url": "http://www.example.org/a/", "when": "2021-01-01T00:00:00Z"},
        {"text": prose(3), "url": "https://example.org/a?utm_source=x", "when": None},
        {"text": prose(4), "url": "https://example.org/b", "when": "2019-01-01T00:00:00Z"},
        {"text": prose(5), "url": None, "when": "2019-01-01T00:00:00Z"},
        {"text": prose(6), "url": None, "when": "2019-01-01T00:00:00Z"},
    ]
    filler = [{"text": prose(i)} for i in range(10, 20)]
    source = {"columns": {"timestamp": "when"}}
    path = write("a", stamped + filler)
    run = make_run(path, kind="jsonl", source=source, deduplicate={"urls": True})
    curate(run, folder)
    assert reasons(folder) == {prose(1): "older_page", prose(3): "older_page"}
    assert len(rows(folder.documents)) == 14


def test_a_line_stays_where_it_stands_first(make_run, folder, write, prose, rows, monkeypatch):
    monkeypatch.setattr(parts, "PART_DOCUMENTS", 3)
    menu = "home about contact imprint"
    texts = [f"{menu}\n{prose(i)}\n{menu.upper()}  \n\nlast line {i}" for i in range(12)]
    short = f"{menu}\n{prose(3)}\na few words are left of this"
    path = write("a", [{"text": text} for text in [*texts, short]])
    run = make_run(path, kind="jsonl", deduplicate={"lines": True}, repetition=None)
    curate(run, folder)
    kept = sorted(each["text"] for each in rows(folder.documents))
    assert len(kept) == 12
    assert sum(menu in text for text in kept) == 1
    assert all(f"\n\nlast line {i}" in "".join(kept) for i in range(12))
    assert not any(menu.upper() in text for text in kept)
    (dropped,) = rows(folder.rejected)
    assert (dropped["reason"], dropped["detail"]) == ("repeated_lines", "7 < 20 words left")
    steps = {each["step"]: each for each in json.loads(folder.curation.read_text())["steps"]}
    lines = "\n".join([*texts, short]).lower().replace("  ", "").split("\n")
    assert steps["lines"]["in"] == 13
    assert steps["lines"]["lines"] == len([each for each in lines if each]) - len({*lines} - {""})


def test_a_part_of_which_nothing_is_left_goes_through_every_step(
    make_run, folder, write, prose, rows, monkeypatch
):
    monkeypatch.setattr(parts, "PART_DOCUMENTS", 5)
    texts = [prose(i) for i in range(20)]
    path = write("a", [{"text": text} for text in [*texts, *texts]])
    ways = {"exact": True, "urls": True, "lines": True, "near": {}}
    curate(make_run(path, kind="jsonl", deduplicate=ways), folder)
    assert sorted(each["text"] for each in rows(folder.documents)) == sorted(texts)
    assert [each["reason"] for each in rows(folder.rejected)] == ["duplicate"] * 20


def test_of_sources_the_one_of_higher_priority_stays(make_run, folder, write, prose, rows):
    path = write("a", [{"text": prose(i)} for i in range(12)])
    sources = [
        {"name": "a", "kind": "jsonl", "path": str(path)},
        {"name": "b", "kind": "jsonl", "path": str(path), "priority": 1},
    ]
    curate(make_run(path, sources=sources), folder)
    assert {each["source"] for each in rows(folder.documents)} == {"b"}


def test_a_later_run_knows_what_an_earlier_one_kept(
    make_run, tmp_path, write, prose, rows, reasons, folder
):
    from llm_keras.run_folder import RunFolder

    long = [prose(i) + " " + prose(i + 700) + " " + prose(i + 300) for i in range(30)]
    first = write("first", [{"text": text} for text in long[:15]])
    settings = {"deduplicate": {"near": {}, "index": str(tmp_path / "index")}}
    earlier = RunFolder(tmp_path / "earlier")
    curate(make_run(first, kind="jsonl", **settings), earlier)
    kept = {each["text"]: each["id"] for each in rows(earlier.documents)}
    nearly = _changed(long[4], 1)
    second = write("second", [{"text": text} for text in [*long[10:], nearly]])
    run = make_run(second, kind="jsonl", source={"name": "other"}, **settings)
    curate(run, folder)
    assert reasons(folder) == {
        **dict.fromkeys(long[10:15], "duplicate"),
        nearly: "near_duplicate",
    }
    details = {each["text"]: each["detail"] for each in rows(folder.rejected)}
    assert details[long[12]] == f"of {kept[long[12]]}"
    assert details[nearly] == f"of {kept[long[4]]}"
    # The same run again does not take its own documents for copies.
    curate(run, folder)
    assert len(rows(folder.documents)) == 15


def test_a_later_run_knows_the_lines_that_an_earlier_one_kept(
    make_run, tmp_path, write, prose, rows, folder
):
    """Of two earlier runs; of its own lines each stays once, however often it is run."""
    from llm_keras.run_folder import RunFolder

    menu, greeting = "Home About Contact", "with kind regards"
    deduplicate = {"lines": True, "index": str(tmp_path / "index")}
    for number, line in enumerate((menu, greeting)):
        texts = [f"{line}\n{prose(i)}" for i in range(number * 10, number * 10 + 10)]
        path = write(f"earlier-{number}", [{"text": text} for text in texts])
        earlier = RunFolder(tmp_path / f"earlier-{number}")
        run = make_run(path, "jsonl", source={"name": f"s{number}"}, deduplicate=deduplicate)
        curate(run, earlier)
        kept = [each["text"] for each in rows(earlier.documents)]
        assert sum(line in text for text in kept) == 1
    bodies = [prose(i) for i in range(20, 30)]
    texts = [f"{menu.lower()}\n{body}\n {greeting}\nthe end" for body in bodies]
    path = write("later", [{"text": text} for text in texts])
    run = make_run(path, kind="jsonl", source={"name": "later"}, deduplicate=deduplicate)
    for _ in range(2):  # the same run again does not lose its own lines
        curate(run, folder)
        kept = sorted(each["text"] for each in rows(folder.documents))
        assert sorted(text.removesuffix("\nthe end") for text in kept) == sorted(bodies)
        assert sum(text.endswith("\nthe end") for text in kept) == 1


def test_an_index_of_other_bands_is_refused(make_run, tmp_path, letters, folder):
    from llm_keras.errors import UserError
    from llm_keras.run_folder import RunFolder

    index = str(tmp_path / "index")
    curate(
        make_run(letters, deduplicate={"near": {}, "index": index}), RunFolder(tmp_path / "earlier")
    )
    other = make_run(letters, deduplicate={"near": {"bands": 9}, "index": index})
    with pytest.raises(UserError, match=r"was made with corpus.deduplicate.near .*'bands': 14"):
        curate(other, folder)


def test_a_part_sends_one_row_for_a_text_however_often_it_occurs(letters):
    """So that no worker receives a tenth of the corpus."""
    from pipelines.steps.unique import compare

    table = np.zeros(1000, keys.DTYPE)
    table["key0"], table["part"], table["row"] = 7, np.repeat(range(10), 100), range(1000)
    table = keys.sort(table)
    first = keys.first_of_each(table)
    assert (first == 0).all()
    gone = b"".join(data for _, data in compare(table))
    assert len(gone) == 999 * (len(gone) // 999)


def _edges(pairs):
    table = np.zeros(len(pairs), components.EDGE)
    for side, column in (("hub", 0), ("to", 1)):
        numbers = [sorted(pair)[column] for pair in pairs]
        table[side]["id0"] = table[side]["row"] = numbers
    return components.once(table)


@pytest.mark.parametrize("seed", range(20))
def test_components_are_those_of_a_search(seed):
    """Both ways of finding them, beside a plain walk over a graph of random and of long forms."""
    random_ = random.Random(seed)
    size = random_.randint(2, 60)
    pairs = [(i, i + 1) for i in range(size) if random_.random() < 0.7]
    pairs += [tuple(random_.sample(range(size + 1), 2)) for _ in range(random_.randint(1, 10))]
    expected = _walk(pairs)
    nodes, least = components.least_of_components(_edges(pairs))
    assert dict(zip(nodes["id0"].tolist(), least["id0"].tolist(), strict=True)) == expected
    table = _edges(pairs)
    for _ in range(20):
        table = components.once(components.large_star(components.both_ways(table)))
        table = components.once(components.small_star(components.both_ways(table)))
    pointing = zip(table["to"]["id0"].tolist(), table["hub"]["id0"].tolist(), strict=True)
    assert dict(pointing) == expected


def _walk(pairs):
    neighbours = {}
    for one, other in pairs:
        neighbours.setdefault(one, set()).add(other)
        neighbours.setdefault(other, set()).add(one)
    least = {}
    for start in sorted(neighbours):
        waiting = [start]
        while waiting:
            node = waiting.pop()
            if node not in least:
                least[node] = start
                waiting += neighbours[node]
    return {node: root for node, root in least.items() if node != root}


def test_the_curve_of_the_settings_is_the_formula():
    near = config.Near()
    assert [round(near.probability(s), 3) for s in (0.7, 0.8, 0.9)] == [0.565, 0.924, 1.0]
