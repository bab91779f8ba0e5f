"""Which checkpoints stay when a new one comes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from llm_keras.errors import UserError
from llm_keras.training import checkpoint_files
from llm_keras.training.checkpoint_files import DamagedError

#: Name of the cross-entropy on held-out rows in a checkpoint's manifest, where it was measured.
VALIDATION_LOSS = "validation_loss"

#: Step -> validation loss, or None where none was measured at that step.
Losses = Mapping[int, float | None]


@dataclass(frozen=True)
class Keep:
    """What stays; a checkpoint needs only one of the reasons.

    Args:
        last: The newest ones, at least 1.
        every_steps: Those of every multiple of it, for ever; None: none for this reason.
        best: The ones with the lowest validation loss.
        return_every_steps: The newest of its multiples, to which a divergence rolls back.
    """

    last: int = 1
    every_steps: int | None = None
    best: int = 0
    return_every_steps: int | None = None

    def chosen(self, losses: Losses) -> set[int]:
        """The steps that stay.

        >>> losses = {100: 5.0, 200: 4.0, 250: None, 300: 4.5, 350: None}
        >>> sorted(Keep(last=1, every_steps=300, best=1).chosen(losses))
        [200, 300, 350]
        """
        newest_first = sorted(losses, reverse=True)
        kept = {*newest_first[: self.last], *ranked(losses)[: self.best]}
        if self.every_steps:
            kept.update(step for step in losses if step % self.every_steps == 0)
        if self.return_every_steps:
            regular = (step for step in newest_first if step % self.return_every_steps == 0)
            kept.update(step for step in [next(regular, None)] if step is not None)
        return kept


def ranked(losses: Losses) -> list[int]:
    """Steps with a validation loss, the best first; the earlier of equals."""
    known = {s: loss for s, loss in losses.items() if loss is not None and math.isfinite(loss)}
    return sorted(known, key=lambda step: (known[step], step))


def losses_of(root: Path) -> dict[int, float | None]:
    """Every checkpoint's validation loss, as its manifest says; None for a damaged one."""
    losses: dict[int, float | None] = {}
    for step in checkpoint_files.steps(root):
        try:
            manifest = checkpoint_files.read_manifest(checkpoint_files.folder_of(root, step))
        except DamagedError:
            manifest = {}
        losses[step] = manifest.get(VALIDATION_LOSS)
    return losses


def prune(root: Path, keep: Keep) -> None:
    """Removes the checkpoints that there is no reason to keep.

    Raises:
        UserError: The file system refuses.
    """
    losses = losses_of(root)
    for step in losses.keys() - keep.chosen(losses):
        path = checkpoint_files.folder_of(root, step)
        try:
            checkpoint_files.remove(path)
        except OSError as error:
            raise UserError(
                f"{path}: an old checkpoint that cannot be removed ({error.strerror}); newer ones"
                " are complete. Mend that and train again: it goes on from the newest"
            ) from error
