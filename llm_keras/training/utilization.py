"""What a step costs, in operations and memory, beside what the machine has."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass

import tensorflow as tf

from llm_keras import config
from llm_keras.accounting.flops import flops_per_token
from llm_keras.accounting.speed import matmul_peak
from llm_keras.parallel.engine import Engine

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Utilization:
    """Model FLOPs utilisation: the share of the fastest matrix products that training reaches.

    ``operations of the model in a step / seconds of the step / peak``

    Attributes:
        step_flops: Operations of a step on all devices, forward and backward; see
            `accounting.flops`: what rematerialization adds does not count.
        peak_flops: Operations a second of square products on all devices, in the run's precision.

    References:
        Chowdhery et al. 2022, appendix B; against a measured peak instead of the maker's.
    """

    step_flops: float
    peak_flops: float

    def of(self, seconds: float) -> float:
        """That of a step."""
        return self.step_flops / seconds / self.peak_flops

    def __str__(self) -> str:
        step, peak = self.step_flops / 1e9, self.peak_flops / 1e9
        return f"a step takes {step:,.4g} GFLOP; matrix products run at {peak:,.4g} GFLOP/s here"


def measure(run: config.Run, engine: Engine) -> Utilization:
    """Of a run on this machine; takes less than a second.

    Every position of a batch counts as a token, filling too, and those of shorter pairs as if they
    were of the full length, of which there are as many tokens in a batch.
    """
    training, length = run.training, run.records.sequence_length
    tokens = training.global_batch_size * length
    flops = flops_per_token(run.model, run.tokenizer.vocabulary_size, length)
    # Parts of a CPU share its cores, GPUs do not; other processes are taken to have as much.
    devices = training.parallelism.devices if _gpus() else engine.parts
    return Utilization(float(flops * tokens), devices * _peak(training.precision))


@functools.cache
def _peak(precision: str) -> float:
    return matmul_peak(tf, precision)


def process_bytes() -> int | None:
    """Memory that this process has now; None where nobody says."""
    status = _open_status()
    if status is None:
        return None
    return int(os.pread(status, 256, 0).split()[1]) * _PAGE_BYTES


@functools.cache
def _open_status() -> int | None:
    """Opened once: it is read every step."""
    try:
        return os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None


def device_bytes() -> int | None:
    """The most memory that any GPU has had in use; None without one."""
    used = [tf.config.experimental.get_memory_info(name)["peak"] for name in _gpus()]
    return max(used, default=None)


@functools.cache
def _gpus() -> list[str]:
    gpus = tf.config.list_logical_devices("GPU")
    return [gpu.name.removeprefix("/device:") for gpu in gpus]
