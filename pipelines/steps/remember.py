"""Step `remember`: keys of the documents that stay, for the index that later runs compare with."""

from __future__ import annotations

from typing import Any

from llm_keras import config
from pipelines import index
from pipelines.quiet import beam
from pipelines.steps import lines, near, unique
from pipelines.steps.unique import Unique
from pipelines.workplace import Workplace

REMEMBER = "remember"


class Remember(beam.PTransform):
    """Numbers of parts -> counts, with the names of the files that are left in the snapshot.

    Args:
        place: Where the parts are.
        ways: The ways of being equal that are remembered.
        settings: Of the bands; None: none are remembered.
        folder: Of the snapshot.
    """

    def __init__(
        self, place: Workplace, ways: tuple[Unique, ...], settings: config.Near | None, folder: str
    ) -> None:
        super().__init__()
        self.place, self.ways, self.settings, self.folder = place, ways, settings, folder

    def expand(self, numbers: Any) -> Any:
        """One function."""
        return numbers | beam.Map(
            lambda part, place, ways, settings, folder: {
                "remembered": _remember(part, place, ways, settings, folder)
            },
            self.place,
            self.ways,
            self.settings,
            self.folder,
        )


def _remember(
    part: int,
    place: Workplace,
    ways: tuple[Unique, ...],
    settings: config.Near | None,
    folder: str,
) -> dict[str, dict[str, int]]:
    tables = {way.name: unique.keys_of_part(part, place, way)[0] for way in ways}
    if place.run.corpus.deduplicate.lines:
        tables[lines.LINES] = lines.lines_of(place, part)
    if settings is not None:
        tables[near.BANDS] = near.digests_of(place, part, settings)[0]
    return index.write_keys(folder, f"{part:08d}", tables)
