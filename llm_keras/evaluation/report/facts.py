"""What a run's folder holds for its report; every part may still be missing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from llm_keras.config import Run
from llm_keras.errors import UserError
from llm_keras.files import read_json
from llm_keras.run_folder import RunFolder

Facts = dict[str, Any]
Series = dict[str, npt.NDArray[np.float64]]


@dataclass(frozen=True)
class RunFacts:
    """The files of a run, read; None or empty where a stage has not run yet.

    Attributes:
        curation: Counts by source and split.
        manifest: Rows, tokens and hashes of the record shards.
        training: Columns of metrics.jsonl, ascending by step.
        validation: Columns of validation.jsonl, ascending by step.
        evaluation: Held-out quality, baselines and samples.
    """

    run: Run
    folder: RunFolder
    curation: Facts | None
    manifest: Facts | None
    training: Series
    validation: Series
    evaluation: Facts | None

    @classmethod
    def read(cls, run: Run, folder: RunFolder) -> RunFacts:
        """Reads what is there.

        Raises:
            UserError: A file is there but is not JSON; the message names it.
        """
        return cls(
            run,
            folder,
            read_json(folder.curation),
            read_json(folder.manifest),
            read_series(folder.metrics),
            read_series(folder.validation_metrics),
            read_json(folder.evaluation),
        )


def read_series(path: Path) -> Series:
    """The columns of a file with one JSON object a step, ascending; empty where there is none.

    A step that stands twice, as after a resume, counts with its last line. A last line without its
    end is a write that was cut or is under way; it is left out.
    """
    by_step: dict[int, Facts] = {}
    try:
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                if line.endswith("\n"):
                    row = json.loads(line)
                    by_step[int(row["step"])] = row
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path}: expected one JSON object with a step on each line") from None
    rows = [by_step[step] for step in sorted(by_step)]
    names = rows[0] if rows else ()
    return {
        name: np.array([float(row[name]) if row.get(name) is not None else np.nan for row in rows])
        for name in names
    }
