"""The processes that train one model together, as `TF_CONFIG` names them. Needs no TensorFlow."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from llm_keras import config
from llm_keras.errors import UserError

#: Strategies whose devices may belong to several processes.
STRATEGIES = ("multi_worker", "dtensor")
_HOW = (
    "start it with `llm-keras launch --workers N RUN`, or set what that prints with --print-cluster"
)


@dataclass(frozen=True)
class Cluster:
    """One process among several.

    Attributes:
        workers: The processes' addresses, `host:port`; the first is the chief, who writes the files
            and speaks.
        index: Which of them this process is.
    """

    workers: tuple[str, ...]
    index: int

    @property
    def is_chief(self) -> bool:
        """Whether this process is the one that writes and speaks."""
        return self.index == 0

    @classmethod
    def from_environment(cls) -> Self | None:
        """What `TF_CONFIG` says; None if it names no other process.

        Raises:
            UserError: It cannot be understood.
        """
        text = os.environ.get("TF_CONFIG", "")
        if not text.strip():
            return None
        try:
            given = json.loads(text)
            jobs, task = given.get("cluster", {}), given.get("task", {})
            chiefs = [str(address) for address in jobs.get("chief", ())]
            workers = (*chiefs, *(str(address) for address in jobs.get("worker", ())))
            kind, index = task.get("type", "worker"), int(task.get("index", 0))
        except (ValueError, TypeError, AttributeError):
            raise UserError(
                'TF_CONFIG: expected JSON as {"cluster": {"worker": ["host:port", ...]}, "task":'
                f' {{"type": "worker", "index": 0}}}}, got {text!r}; {_HOW}'
            ) from None
        if len(workers) < 2:
            return None
        place = index + len(chiefs) if kind == "worker" else index
        if kind not in ("chief", "worker") or not 0 <= place < len(workers):
            raise UserError(
                f"TF_CONFIG: task {task} is none of the {len(workers)} workers; each has its own"
                " index, from 0 on"
            )
        return cls(workers, place)

    @classmethod
    def of(cls, settings: config.Parallelism) -> Self | None:
        """The cluster that a run asks for; None if it is this process alone.

        Raises:
            UserError: The run file asks for several processes and there is one, or the other way.
        """
        cluster = cls.from_environment()
        if cluster is None and settings.strategy == "multi_worker":
            raise UserError(
                "training.parallelism.strategy is multi_worker, but this is one process: TF_CONFIG"
                f" names no others; {_HOW}"
            )
        if cluster is not None and settings.strategy not in STRATEGIES:
            raise UserError(
                f"TF_CONFIG names {len(cluster.workers)} workers, but training.parallelism.strategy"
                f" is {settings.strategy}, which is one process's; set it to"
                f" {' or '.join(STRATEGIES)}, or unset TF_CONFIG"
            )
        return cluster

    def share(self, settings: config.Parallelism) -> int:
        """How many devices of this process take part.

        Raises:
            UserError: The devices cannot be shared out evenly.
        """
        return share(settings, len(self.workers))


def share(settings: config.Parallelism, workers: int) -> int:
    """How many devices each of so many processes has.

    Raises:
        UserError: They cannot be shared out evenly.
    """
    if settings.devices % workers:
        raise UserError(
            f"training.parallelism: {settings.product} devices cannot be shared out to {workers}"
            " workers; make it a multiple of the workers"
        )
    return settings.devices // workers


def environment(workers: Sequence[str], index: int, strategy: str) -> Mapping[str, str]:
    """What a process must find in its environment to be one of `workers`."""
    tf_config = {"cluster": {"worker": list(workers)}, "task": {"type": "worker", "index": index}}
    variables = {"TF_CONFIG": json.dumps(tf_config)}
    if strategy == "dtensor":
        variables |= {
            "DTENSOR_CLIENT_ID": str(index),
            "DTENSOR_NUM_CLIENTS": str(len(workers)),
            "DTENSOR_JOB_NAME": "worker",
            "DTENSOR_JOBS": ",".join(workers),
        }
    return variables
