"""Hardware: the precision to compute in, backend settings, and free memory."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path


def silence_backend_logs() -> None:
    """Hide TensorFlow's log lines at startup. Call before Keras is imported."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")


@cache
def prepare_backend() -> None:
    """Import Keras without log lines and, on a GPU with TensorFlow, enable memory growth.

    Memory growth must be set before the first operation.
    """
    silence_backend_logs()
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        for device in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(device, True)


def best_policy() -> str:
    """Return the Keras dtype policy to compute under: ``mixed_bfloat16``, ``mixed_float16`` or ``float32``.

    bfloat16 where the hardware supports it (GPUs of compute capability 8 and up, CPUs with AVX512-BF16 or AMX), float16
    on older GPUs with tensor cores, else float32. Weights are float32 in all of them.
    """
    prepare_backend()
    capability = _gpu_capability()
    if capability is not None:
        return "mixed_bfloat16" if capability >= (8, 0) else "mixed_float16" if capability >= (7, 0) else "float32"
    return "mixed_bfloat16" if cpu_supports_bfloat16() else "float32"


def has_gpu() -> bool:
    """Return whether the machine seems to have a usable GPU, without a backend."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    return not hidden and any(Path("/dev").glob("nvidia[0-9]*"))


def free_memory_bytes() -> int:
    """Return the available memory in bytes (half of all memory if that is unknown), within the limit of a container."""
    machine = _machine_free_bytes()
    limit = _container_free_bytes()
    return machine if limit is None else min(machine, limit)


def _machine_free_bytes() -> int:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (AttributeError, ValueError, OSError):
        return 4 * 1024**3


def _container_free_bytes(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Return the memory left to this container (control groups version 2); ``None`` without a limit."""
    try:
        limit = (root / "memory.max").read_text(encoding="ascii").strip()
        if limit == "max":
            return None
        used = int((root / "memory.current").read_text(encoding="ascii"))
        facts = dict(line.split() for line in (root / "memory.stat").read_text(encoding="ascii").splitlines())
        # cached files are released when memory is needed
        return max(0, int(limit) - used + int(facts.get("inactive_file", 0)))
    except (OSError, ValueError):
        return None


def _gpu_capability() -> tuple[int, int] | None:
    import keras

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        devices = tf.config.list_physical_devices("GPU")
        if not devices:
            return None
        capability = tf.config.experimental.get_device_details(devices[0]).get("compute_capability")
        return tuple(capability) if capability else (0, 0)
    if backend == "jax":
        import jax

        if jax.default_backend() != "gpu":
            return None
        major, minor = str(getattr(jax.devices()[0], "compute_capability", "0.0")).split(".")
        return int(major), int(minor)
    return None


def cpu_supports_bfloat16() -> bool:
    """Return whether the CPU has bfloat16 instructions, without a backend."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="ignore")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags
