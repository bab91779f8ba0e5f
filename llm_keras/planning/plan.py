"""What a run will need and how long it will take, from its settings."""

from __future__ import annotations

from dataclasses import dataclass

from llm_keras import config
from llm_keras.accounting.flops import flops_per_token, recomputed_flops_per_token
from llm_keras.accounting.parameters import parameter_counts
from llm_keras.planning.memory import training_bytes
from llm_keras.planning.tokens import Tokens, available
from llm_keras.run_folder import RunFolder

#: Tokens for each parameter that make the best model of a given amount of computation.
TOKENS_PER_PARAMETER = 20


@dataclass(frozen=True)
class Plan:
    """The figures of a planned run.

    Attributes:
        parameters: Weights by part.
        flops_per_token: Model operations of one token, forward and backward.
        recomputed_flops_per_token: Operations that rematerialization adds.
        tokens: What there is to train on.
        tokens_planned: What the run will read, repetitions counted.
        memory: Bytes a device by purpose.
        flops_per_second: Speed, given or measured; None if unknown.
    """

    parameters: dict[str, int]
    flops_per_token: int
    recomputed_flops_per_token: int
    tokens: Tokens
    tokens_planned: int
    memory: dict[str, int]
    flops_per_second: float | None

    @property
    def total_parameters(self) -> int:
        """All weights."""
        return sum(self.parameters.values())

    @property
    def tokens_wanted(self) -> int:
        """20 a parameter: Hoffmann et al. 2022, table 3."""
        return TOKENS_PER_PARAMETER * self.total_parameters

    @property
    def epochs(self) -> float | None:
        """How often the run reads the corpus; None if its size is unknown."""
        return self.tokens_planned / self.tokens.count if self.tokens.count else None

    @property
    def total_flops(self) -> int:
        """Operations of the whole run."""
        return self.tokens_planned * (self.flops_per_token + self.recomputed_flops_per_token)

    @property
    def hours(self) -> float | None:
        """Time to train; None if the speed is unknown."""
        return self.total_flops / self.flops_per_second / 3600 if self.flops_per_second else None

    def sections(self) -> dict[str, dict[str, str]]:
        """The figures as tables: section -> name -> figure with its unit."""
        parameters = {name: f"{count:,}" for name, count in self.parameters.items() if count}
        memory = {name: readable_bytes(size) for name, size in self.memory.items()}
        return {
            "parameters": {**parameters, "all": f"{self.total_parameters:,}"},
            "tokens": self._tokens(),
            "memory of one device": {**memory, "all": readable_bytes(sum(self.memory.values()))},
            "computation": self._computation(),
        }

    def lines(self) -> list[str]:
        """`sections` as aligned text."""
        lines = []
        for title, rows in self.sections().items():
            lines.append(title)
            lines += [f"  {name:<22}{figure}" for name, figure in rows.items()]
        return lines

    def _tokens(self) -> dict[str, str]:
        known = "unknown" if self.tokens.count is None else f"{self.tokens.count:,}"
        rows = {
            "available": f"{known} ({self.tokens.origin})",
            "wanted": f"{self.tokens_wanted:,} ({TOKENS_PER_PARAMETER} a parameter)",
            "planned": f"{self.tokens_planned:,}",
        }
        if self.epochs is not None:
            rows["planned"] += f" ({self.epochs:.1f} times what is available)"
        return rows

    def _computation(self) -> dict[str, str]:
        rows = {"FLOPs a token": f"{self.flops_per_token:,}"}
        if self.recomputed_flops_per_token:
            rows["recomputed"] = f"{self.recomputed_flops_per_token:,} more"
        rows["FLOPs in all"] = f"{self.total_flops:.3g}"
        if self.flops_per_second is None or self.hours is None:
            rows["hours"] = "unknown; give --flops or --calibrate"
        else:
            rows["hours"] = f"{self.hours:.2f} at {self.flops_per_second / 1e9:,.0f} GFLOP/s"
        return rows


def plan(
    run: config.Run, folder: RunFolder | None = None, flops_per_second: float | None = None
) -> Plan:
    """Computes the figures of a run; needs no TensorFlow.

    Args:
        run: The settings.
        folder: Where the corpus may already have been counted.
        flops_per_second: Speed of training, as from `calibrate`.
    """
    model, length = run.model, run.records.sequence_length
    vocabulary_size = run.tokenizer.vocabulary_size
    return Plan(
        parameters=parameter_counts(model, vocabulary_size, length),
        flops_per_token=flops_per_token(model, vocabulary_size, length),
        recomputed_flops_per_token=recomputed_flops_per_token(run),
        tokens=available(run, folder),
        tokens_planned=run.training.total_steps * run.training.global_batch_size * length,
        memory=training_bytes(run),
        flops_per_second=flops_per_second,
    )


def readable_bytes(size: int) -> str:
    """The size with a unit that suits it.

    >>> readable_bytes(5_242_880)
    '5.0 MiB'
    """
    amount, unit = float(size), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if amount < 1024 or unit == "TiB":
            break
        amount /= 1024
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
