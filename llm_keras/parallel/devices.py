"""What this process computes on."""

from __future__ import annotations

import os

import tensorflow as tf

from llm_keras.errors import UserError


def pin_threads(at_once: int = 1) -> dict[str, int]:
    """Fixes the sizes of TensorFlow's thread pools, and returns them.

    A sum over many numbers depends, in the last bits, on how many threads take a part of it. A loss
    trace can be repeated bit for bit only with the same number of threads, so the number is chosen
    here, once, instead of being left to TensorFlow. A process that has begun to compute keeps the
    pools it has.

    Args:
        at_once: Least operations at once, on any number of cores: as many as stages that are to
            work at the same time.

    Returns:
        `intra_op`: threads within one operation; `inter_op`: operations at once.
    """
    threading = tf.config.threading
    available = len(os.sched_getaffinity(0))
    inter_op = max(available, at_once)
    try:
        threading.set_intra_op_parallelism_threads(available)
        threading.set_inter_op_parallelism_threads(inter_op)
    except RuntimeError:  # The pools exist already; 0 means TensorFlow's choice: one a core.
        return {
            "intra_op": threading.get_intra_op_parallelism_threads() or available,
            "inter_op": threading.get_inter_op_parallelism_threads() or available,
        }
    return {"intra_op": available, "inter_op": inter_op}


def split_cpu(parts: int) -> None:
    """Shows the CPU as several devices, to try out data parallelism without a GPU.

    Raises:
        UserError: TensorFlow has begun to compute; devices cannot change any more.
    """
    cpu = tf.config.list_physical_devices("CPU")[0]
    devices = [tf.config.LogicalDeviceConfiguration()] * parts
    try:
        tf.config.set_logical_device_configuration(cpu, devices)
    except RuntimeError:
        raise UserError(
            f"split_cpu({parts}) must come before anything is computed; call it first"
        ) from None


def visible() -> list[str]:
    """Names of the devices to train on: the GPUs, or without any the CPU devices."""
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return [device.name for device in devices]
