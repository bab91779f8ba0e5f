"""Seconds of each stage of the quickstart, from nothing, and of a second run that skips them all.

    .venv/bin/python benchmarks/quickstart.py [RUN_FILE]

Runs the command line in a temporary folder, as `make quickstart` does after the installation, and
prints what the stages say of themselves, the whole time, and the held-out perplexities.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import interleaved

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Prints the table."""
    run_file = sys.argv[1] if len(sys.argv) > 1 else str(ROOT / "configs" / "quickstart.yaml")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "run"
        commands = {
            "run": ["run", run_file, "--output", str(folder)],
            "run again": ["run", run_file, "--output", str(folder)],
            "serve, one answer": ["serve", str(folder), "--ask", "The state of the Union"],
        }
        print(interleaved.versions("tensorflow", "keras"), "\n")
        print("| | seconds |\n|---|---|")
        for name, arguments in commands.items():
            start = time.monotonic()
            result = subprocess.run(
                [sys.executable, "-m", "llm_keras", *arguments],
                cwd=ROOT,
                text=True,
                check=True,
                capture_output=True,
            )
            for stage, seconds in re.findall(r"^(\w+): done in ([\d.]+) s", result.stderr, re.M):
                print(f"| - {stage} | {seconds} |")
            print(f"| {name} | {time.monotonic() - start:.1f} |")
        evaluation = json.loads((folder / "evaluation.json").read_text())
    print(f"\nheld-out perplexity {evaluation['perplexity']:.1f}; ", end="")
    print(", ".join(f"{k} {v['perplexity']:.1f}" for k, v in evaluation["baselines"].items()))


if __name__ == "__main__":
    main()
