"""What docs/guide.md says, done: every command in order, and what it shows beside what comes."""

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "guide.md"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: A figure with a decimal point; those of learning differ between machines.
DECIMAL = re.compile(r"\d[\d,]*\\\.\d+")


def scenes(text):
    """The guide's blocks of commands, each with what it says they print."""
    blocks = FENCE.findall(text)
    for index, (language, text) in enumerate(blocks):
        if language == "sh":
            following, shown = (*blocks, ("", ""))[index + 1]
            yield text, shown if following == "text" else ""


def pattern(line):
    """A line of the guide as a pattern: `…` is anything, a decimal figure any figure."""
    escaped = re.escape(line.strip()).replace("…", ".*")
    return re.compile(DECIMAL.sub(r"\\d[\\d,]*(\\.\\d+)?", escaped))


def first_missing(shown, printed):
    """The first line of `shown` that does not come in `printed`, in this order."""
    lines = iter(printed.splitlines())
    for line in shown.splitlines():
        wanted = pattern(line)
        if line.strip() != "…" and not any(wanted.search(other) for other in lines):
            return line
    return None


def perform(commands, folder):
    """Runs commands as typed, with `llm-keras` being the one of this environment."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=folder,
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def chapters():
    """Parts of the guide that need nothing of each other."""
    first, *later = re.split(r"(?=^## [89] )", GUIDE.read_text(), flags=re.MULTILINE)
    assert len(later) == 2
    return [first, "".join(later)]


def follow(text, folder):
    """Runs a chapter's commands in order, in a folder with what a clone has."""
    folder.mkdir()
    shutil.copytree(ROOT / "configs", folder / "configs")
    (folder / "examples").symlink_to(ROOT / "examples")
    for commands, shown in scenes(text):
        result = perform(commands, folder)
        assert result.returncode == 0, f"{commands}\n{result.stdout}"
        missing = first_missing(shown, result.stdout)
        assert missing is None, f"{missing!r} does not come of\n{commands}\n{result.stdout}"


def test_commands_do_what_the_guide_says(tmp_path):
    """All commands in order; each succeeds and prints what the guide shows."""
    told = chapters()
    assert [len(list(scenes(text))) for text in told] == [12, 2]
    folders = [tmp_path / str(index) for index in range(len(told))]
    with ThreadPoolExecutor() as pool:
        list(pool.map(follow, told, folders))


def test_a_line_that_does_not_come_is_found():
    """The comparison tells a wrong word, a wrong whole figure and a wrong order from what fits."""
    printed = "a: 12 rows, loss 5.71\nb: done in 3.2 s\n"
    assert first_missing("a: 12 rows, loss 5.70\nb: done in …\n", printed) is None
    assert first_missing("a: 13 rows, loss 5.70\n", printed) == "a: 13 rows, loss 5.70"
    assert first_missing("b: done in …\na: …\n", printed) == "a: …"
    assert first_missing("c: done\n", printed) == "c: done"


def test_files_and_classes_that_the_guide_names_exist():
    """Every path is there, and every class or function named after one is defined in it."""
    text = " ".join(GUIDE.read_text().split())
    paths = set(re.findall(r"`((?:llm_keras|pipelines|serving|tests|docs|configs)/[\w./]*)`", text))
    assert len(paths) > 15
    assert [path for path in paths if not (ROOT / path).exists()] == []
    named = re.findall(r"`([\w/]+\.py)`, (?:class|function) `(\w+)`", text)
    named += [(path, name) for name, path in re.findall(r"`(\w+)` (?:\(|in )`([\w/]+\.py)`", text)]
    assert len(named) > 10
    for path, name in named:
        assert re.search(rf"^(class|def) {name}\b", (ROOT / path).read_text(), re.MULTILINE), name


def test_pictures_are_those_that_the_script_draws(tmp_path):
    """The committed pictures are what the script makes, and each has its place in a page."""
    script = ROOT / "docs" / "pictures" / "draw.py"
    subprocess.run([sys.executable, script, tmp_path], check=True)
    drawn = {path.name: path.read_text() for path in tmp_path.iterdir()}
    kept = {path.name: path.read_text() for path in script.parent.glob("*.svg")}
    assert drawn == kept
    pages = "".join(page.read_text() for page in GUIDE.parent.glob("*.md"))
    assert [name for name in kept if f"(pictures/{name})" not in pages] == []
