"""What a corpus folder holds for its report."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llm_keras import config, files, run_file
from llm_keras.data import curated
from llm_keras.run_folder import RunFolder
from pipelines.report import rejected
from pipelines.report.rejected import Rejected

Facts = dict[str, Any]

#: Kept documents looked through for examples of different sources.
KEPT_SEEN = 1_000
#: Text of kept and of dropped documents that is looked through at most, each: some seconds.
MOST_BYTES = 500_000_000


@dataclass(frozen=True)
class CorpusFacts:
    """The files of a corpus folder, read.

    Attributes:
        folder: Of the run.
        run: Its settings; None where nobody knows them.
        curation: The content of curation.json.
        manifest: Of the records that were made of this curation; None: there are none yet.
        kept: Some kept documents.
        rejected: What the dropped documents say.
        there: Documents that copies were dropped in favour of, and some of these copies, by id.
    """

    folder: RunFolder
    run: config.Run | None
    curation: Facts
    manifest: Facts | None
    kept: Sequence[Facts]
    rejected: Rejected
    there: Mapping[str, Facts]

    @classmethod
    def read(cls, folder: RunFolder, run: config.Run | None) -> CorpusFacts | None:
        """Reads what is there; None where nothing was curated.

        Raises:
            UserError: A file is there but damaged; the message names it.
        """
        curation = files.read_json(folder.curation)
        if curation is None:
            return None
        if run is None and folder.run_file.exists():
            run = run_file.load(folder.run_file)
        dropped = rejected.read(folder.rejected, MOST_BYTES)
        wanted = dropped.ids_to_show()
        found = curated.find(folder.rejected, wanted, MOST_BYTES)
        found |= curated.find(folder.documents, wanted, MOST_BYTES)
        return cls(
            folder=folder,
            run=run,
            curation=curation,
            manifest=_of_this_curation(files.read_json(folder.manifest), curation),
            kept=list(curated.documents(folder.documents, KEPT_SEEN)),
            rejected=dropped,
            there={name: document for name, (_, document) in found.items()},
        )

    @property
    def name(self) -> str:
        """Of the run."""
        return self.folder.root.resolve().name

    @property
    def corpus(self) -> config.Corpus | None:
        """The settings of the curation."""
        return None if self.run is None else self.run.corpus

    @functools.cached_property
    def sources(self) -> dict[str, Facts]:
        """The counts of each source, largest first."""
        every: dict[str, Facts] = self.curation["sources"]
        return dict(sorted(every.items(), key=lambda item: (-int(item[1]["in"]), item[0])))

    def total(self, name: str) -> int:
        """One count over all sources."""
        return sum(int(counts.get(name, 0)) for counts in self.sources.values())

    @functools.cached_property
    def reasons(self) -> dict[str, int]:
        """Dropped documents by reason, the most frequent first; then those that never occurred."""
        found: Counter[str] = Counter()
        for counts in self.sources.values():
            for reason, number in counts["dropped"].items():
                found[reason] += number
        return dict(sorted(found.items(), key=lambda item: -item[1]))


def _of_this_curation(manifest: Facts | None, curation: Facts) -> Facts | None:
    """The manifest, unless it says that it is of another curation."""
    if manifest is None or manifest.get("curation_hash") in (None, curation["settings_hash"]):
        return manifest
    return None


def percent(part: float, whole: float) -> str:
    """A share as one reads it; what is there at all is never 0.

    >>> percent(1, 8), percent(999, 1000), percent(1, 100_000), percent(0, 5), percent(5, 5)
    ('12.5%', '99.9%', '<0.1%', '0%', '100%')
    """
    if not whole or not part:
        return "0%"
    if part == whole:
        return "100%"
    share = 100 * part / whole
    if share < 0.1:
        return "<0.1%"
    return f"{min(share, 99.9):.1f}%" if share <= 100 else f"{share:.0f}%"
