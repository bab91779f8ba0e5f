"""`python -m serving.conformance`: write the reference model, or check a server."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from serving import listening
from serving.conformance.cases import all_cases
from serving.conformance.runner import difference


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one of the two commands; 1 if a case differs."""
    parser = argparse.ArgumentParser(prog="python -m serving.conformance", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("export", help="write the model").add_argument("folder", type=Path)
    commands.add_parser("check", help="ask the cases").add_argument("url")
    options = parser.parse_args(arguments)
    if options.command == "export":
        from serving.conformance import reference_model  # loads TensorFlow

        sys.stdout.write(f"{reference_model.write(options.folder)}\n")
        return 0
    return _check(options.url)


def _check(url: str) -> int:
    cases, failed = list(all_cases()), 0
    for case in cases:
        problem = difference(url, case, listening.api_key())
        if problem:
            failed += 1
            sys.stdout.write(f"{case.name}: {problem}\n")
    sys.stdout.write(f"{len(cases) - failed} of {len(cases)} cases as TensorFlow Serving\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
