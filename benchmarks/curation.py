"""What curation costs, step by step, and how much memory it takes.

    .venv/bin/python benchmarks/curation.py steps [--megabytes 100 1000] [--workers 1]
    .venv/bin/python benchmarks/curation.py memory [--megabytes 5000] [--workers 2]

`steps` curates corpora of growing size with the rules of Gopher, language, exact and MinHash
deduplication, and prints seconds, MB/s and GB a core-hour of each step; deduplication is the steps
`duplicates`, `bands` and `near` together. Between two sizes a cost that grows in proportion has the
ratio of the sizes.

`memory` curates a corpus that is made to hurt: a tenth of all documents nearly equal to each other,
one document of 200 MB, 100,000 files of one line, and a domain that gives half of all lines. All
kinds of deduplication are on, lines too; rules are off. It prints the peak of every process, as the
kernel counts it, and fails beyond 2 GB.

Texts are of the State of the Union addresses with every sixth word replaced, so that documents of
the same passage are no near duplicates. A size is that of the UTF-8 texts.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import interleaved

ADDRESSES = Path(__file__).parents[1] / "examples" / "data" / "state_of_the_union"
LIMIT_BYTES = 2 * 10**9


def documents(megabytes: float, seed: int = 0) -> Iterator[str]:
    """Texts of 200 to 1,500 words up to a size; one in twenty is a copy, one nearly a copy."""
    random_ = random.Random(seed)
    words = " ".join(path.read_text("utf-8") for path in sorted(ADDRESSES.glob("*.txt"))).split()
    left, text = megabytes * 1e6, ""
    while left > 0:
        chance = random_.random()
        if chance >= 0.1 or not text:
            length = random_.randrange(200, 1500)
            start = random_.randrange(len(words) - length)
            chosen = words[start : start + length]
            for place in range(0, length, 6):
                chosen[place] = f"{chosen[place]}{random_.randrange(1000)}"
            text = "\n".join(" ".join(chosen[i : i + 14]) for i in range(0, length, 14))
        elif chance < 0.05:
            text = text.replace(" ", " other ", 1)
        yield text
        left -= len(text.encode())


def write_lines(folder: Path, texts: Iterator[str], megabytes_a_file: int = 32) -> None:
    """JSON lines, in files of some size."""
    folder.mkdir(parents=True)
    number, size, file = 0, 0, (folder / "00000.jsonl").open("w", encoding="utf-8")
    for index, text in enumerate(texts):
        url = f"https://d{index % 7}.example/{folder.name}/{index}"
        line = json.dumps({"text": text, "url": url}) + "\n"
        file.write(line)
        size += len(line)
        if size > megabytes_a_file * 10**6:
            file.close()
            number, size = number + 1, 0
            file = (folder / f"{number:05d}.jsonl").open("w", encoding="utf-8")
    file.close()


def settings(sources: list[dict[str, Any]], workers: int, **corpus: Any) -> dict[str, Any]:
    """A run file's content."""
    return {
        "corpus": {"sources": sources, "workers": workers, "shards": 16, **corpus},
        "tokenizer": {"vocabulary_size": 1024},
        "records": {"sequence_length": 128},
        "model": {"num_layers": 1, "hidden_dim": 8, "intermediate_dim": 16, "num_query_heads": 2},
        "training": {"total_steps": 1000, "global_batch_size": 8},
    }


def timed(run: dict[str, Any], folder: Path) -> dict[str, float]:
    """Curates; seconds of each step."""
    from llm_keras import config
    from llm_keras.run_folder import RunFolder
    from pipelines import stepping
    from pipelines.curate import curate

    seconds: dict[str, float] = {}
    perform = stepping.Steps.perform

    def clocked(steps: Any, name: str, *rest: Any) -> Any:
        start = time.perf_counter()
        counts = perform(steps, name, *rest)
        seconds[name] = time.perf_counter() - start
        return counts

    stepping.Steps.perform = clocked  # type: ignore[method-assign]
    try:
        curate(config.Run.model_validate(run), RunFolder(folder))
    finally:
        stepping.Steps.perform = perform  # type: ignore[method-assign]
    return seconds


def steps(sizes: list[int], workers: int, work: Path) -> None:
    """Prints the cost of each step at each size."""
    found: dict[int, dict[str, float]] = {}
    for size in sizes:
        write_lines(work / f"lines-{size}", documents(size))
        source = {"name": "s", "kind": "jsonl", "path": str(work / f"lines-{size}")}
        corpus = {"preset": "gopher", "language": {"keep": ["en"]}, "deduplicate": {"near": {}}}
        found[size] = timed(settings([source], workers, **corpus), work / f"run-{size}")
        shutil.rmtree(work / f"run-{size}")
    print(interleaved.versions("apache-beam", "numpy", "pyarrow"), f"- {workers} workers\n")
    print("| step |", " | ".join(f"{size} MB: s | MB/s | GB/core-hour" for size in sizes), "|")
    print("|---|" + "---|---|---|" * len(sizes))
    rows = {name: [name] for name in found[sizes[0]]}
    rows |= {"deduplication": ["duplicates", "bands", "near"], "all": list(rows)}
    for row, names in rows.items():
        cells = []
        for size in sizes:
            seconds = sum(found[size][name] for name in names)
            rate = size / seconds
            cells.append(f"{seconds:.1f} | {rate:.1f} | {rate * 3.6 / workers:.1f}")
        print(f"| {row} |", " | ".join(cells), "|")
    for small, large in itertools.pairwise(sizes):
        ratio = sum(found[large].values()) / sum(found[small].values())
        print(f"\n{large / small:.1f} times the size takes {ratio:.1f} times the time")


def hurting(work: Path, megabytes: int) -> list[dict[str, Any]]:
    """Writes the corpus that is made to hurt; its sources."""
    alike = next(documents(0.001, seed=1))
    menu = [f"this is line {number} of the menu of one domain" for number in range(40)]
    copies = int(megabytes * 1e6 * 0.1 / len(alike))
    write_lines(work / "alike", (f"{alike}\nnumber {number}" for number in range(copies)))
    write_lines(work / "plain", documents(megabytes * 0.45, seed=3))
    write_lines(
        work / "domain",
        ("\n".join([*menu, *text.split("\n")[:40]]) for text in documents(megabytes * 0.4, seed=4)),
    )
    (work / "huge").mkdir()
    with (work / "huge" / "huge.txt").open("w") as file:
        for _ in range(200):
            file.write("one line of a very large document\n" * 29_412)
    (work / "huge" / "small.txt").write_text(alike)
    for number in range(100_000):
        if number % 1000 == 0:
            (work / "tiny" / str(number)).mkdir(parents=True)
        path = work / "tiny" / str(number // 1000 * 1000) / f"{number}.txt"
        path.write_text(f"the tiny file {number} says {number * 7919 % 100_003} and no more")
    kinds = {"alike": "jsonl", "plain": "jsonl", "domain": "jsonl", "huge": "text", "tiny": "text"}
    return [{"name": n, "kind": k, "path": str(work / n)} for n, k in kinds.items()]


class Peaks:
    """The peak resident memory of a process and all its children, by process."""

    def __init__(self, root: int) -> None:
        self.root, self.bytes = root, dict[int, int]()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stop.wait(0.2):
            for process in self._family():
                self.bytes[process] = max(self.bytes.get(process, 0), _peak(process))

    def _family(self) -> list[int]:
        parents: dict[int, int] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                parents[int(entry.name)] = int(_status(int(entry.name), "PPid") or 0)
        family = {self.root}
        grown = True
        while grown:
            more = {child for child, parent in parents.items() if parent in family} - family
            family |= more
            grown = bool(more)
        return sorted(family)

    def end(self) -> list[int]:
        """Peaks, the largest first."""
        self._stop.set()
        self._thread.join()
        return sorted(self.bytes.values(), reverse=True)


def _status(process: int, field: str) -> str:
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return ""
    return next((line.split()[1] for line in lines if line.startswith(f"{field}:")), "")


def _peak(process: int) -> int:
    return int(_status(process, "VmHWM") or 0) * 1024


def memory(megabytes: int, workers: int, work: Path) -> None:
    """Prints the peak of each process."""
    import yaml

    sources = hurting(work, megabytes)
    deduplicate = {"near": {}, "lines": True, "urls": True, "minimum_words_left": 1}
    corpus = {"preset": "none", "language": None, "deduplicate": deduplicate}
    run = settings(sources, workers, **corpus)
    (work / "run.yaml").write_text(yaml.safe_dump(run))
    size = sum(path.stat().st_size for path in work.rglob("*") if path.is_file())
    command = [sys.executable, "-m", "pipelines.curate", "--run", str(work / "run.yaml")]
    start = time.perf_counter()
    process = subprocess.Popen([*command, "--output", str(work / "run")])
    peaks = Peaks(process.pid)
    code = process.wait()
    found = peaks.end()
    curation = json.loads((work / "run" / "corpus" / "curation.json").read_text())
    print(interleaved.versions("apache-beam", "numpy", "pyarrow"), f"- {workers} workers\n")
    print(f"{size / 1e9:.2f} GB of files in {time.perf_counter() - start:.0f} s, exit code {code}")
    for step in curation["steps"]:
        print({name: value for name, value in step.items() if value})
    print("peaks in MB:", ", ".join(f"{each / 1e6:.0f}" for each in found[: workers + 2]))
    if code or max(found) > LIMIT_BYTES:
        sys.exit(f"error: expected no process above {LIMIT_BYTES / 1e6:.0f} MB")


def main() -> None:
    """Runs what was asked for, in a folder of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("steps", "memory"))
    parser.add_argument("--megabytes", type=int, nargs="+")
    parser.add_argument("--workers", type=int)
    asked = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory(prefix="curation-") as work:
        if asked.what == "steps":
            steps(asked.megabytes or [100, 1000], asked.workers or 1, Path(work))
        else:
            memory((asked.megabytes or [5000])[0], asked.workers or 2, Path(work))


if __name__ == "__main__":
    main()
