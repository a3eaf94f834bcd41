"""The inference engines: what computes the network's probabilities.

OpenVINO computes them on CPUs: measured in ``docs/performance.md``, it takes less time and memory than TensorFlow,
which it does not load. Keras on its backend, with which the network is trained, is the reference; it computes on a GPU,
and where OpenVINO is not installed.
"""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING, Protocol

import numpy as np

from training.errors import InputError
from training.hardware import best_policy, has_gpu, prepare_backend
from training.parallel import THREADS_VARIABLE

if TYPE_CHECKING:
    from training.models.weights import Weights
    from training.network.unet import UNetConfig

#: What can be chosen. ``auto``: OpenVINO on a CPU where it is installed, else TensorFlow.
AUTO, OPENVINO, TENSORFLOW = ENGINES = ("auto", "openvino", "tensorflow")

#: The environment variable that chooses where nothing else does.
ENGINE_VARIABLE = "TUMORLOOP_ENGINE"


class Engine(Protocol):
    """A loaded network.

    Attributes:
        name: The engine and its precision, as ``openvino int8``.
        bytes_per_voxel_and_filter: Peak memory of one pass, per voxel and base filter.
    """

    name: str
    bytes_per_voxel_and_filter: int

    def predict(self, batch: np.ndarray) -> np.ndarray:
        """Map ``(1, x, y, z, channels)`` to probabilities ``(1, x, y, z, classes)``, both float32."""


def load_engine(
    weights: Weights, config: UNetConfig, *, engine: str | None = None, policy: str | None = None
) -> Engine:
    """Load a network.

    Args:
        weights: Of the network.
        config: Its architecture.
        engine: One of :data:`ENGINES`; ``None`` for :func:`default_engine`.
        policy: Keras dtype policy; ``None`` for what is best with the engine on this hardware.

    Raises:
        InputError: If the engine cannot be used here, or the weights belong to another architecture.
    """
    if chosen_engine(engine) == OPENVINO:
        return OpenVINOEngine(weights, config, policy=policy)
    return KerasEngine(weights, config, policy=policy)


def default_engine() -> str:
    """Return the engine that :data:`ENGINE_VARIABLE` names, or ``auto``; it is not checked."""
    return os.environ.get(ENGINE_VARIABLE) or AUTO


def checked_engine(name: str) -> str:
    """Return the name of an engine, without loading it.

    Raises:
        InputError: If there is no such engine, or it is not installed.
    """
    if name not in ENGINES:
        raise InputError(f"There is no engine {name[:40]!r}. Choose one of: {', '.join(ENGINES)}.", field="engine")
    if name == OPENVINO and importlib.util.find_spec("openvino") is None:
        raise _unusable("it is not installed")
    return name


def chosen_engine(engine: str | None = None) -> str:
    """Return ``openvino`` or ``tensorflow``, as it was chosen or as it is best here; see :func:`load_engine`.

    Raises:
        InputError: If there is no such engine, or OpenVINO was chosen and cannot be loaded.
    """
    name = checked_engine(engine or default_engine())
    if name == TENSORFLOW or (name == AUTO and has_gpu()):
        return TENSORFLOW
    try:
        import openvino  # noqa: F401 - it may be installed and yet not work
    except ImportError as error:
        if name == AUTO:
            return TENSORFLOW
        raise _unusable(str(error)) from error
    return OPENVINO


def _unusable(why: str) -> InputError:
    return InputError(
        f"The engine {OPENVINO} cannot be used here: {why}. Install it (pip install {OPENVINO}), or choose "
        f"{TENSORFLOW} or {AUTO}.",
        field="engine",
    )


class KerasEngine:
    """The network in Keras, on TensorFlow unless ``KERAS_BACKEND`` names another backend; see :func:`load_engine`."""

    #: Measured: 35 in bfloat16, twice that in float32.
    bytes_per_voxel_and_filter = 80

    def __init__(self, weights: Weights, config: UNetConfig, *, policy: str | None = None) -> None:
        prepare_backend()
        import keras

        from training.models.weights import set_weights
        from training.network.unet import build_unet, with_softmax

        policy = policy or best_policy()
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(policy)
        try:
            network = build_unet(config)
        finally:
            keras.config.set_dtype_policy(before)
        set_weights(network, weights)
        self._model = with_softmax(network)
        self.name = f"{keras.backend.backend()} {policy.removeprefix('mixed_')}"

    def predict(self, batch: np.ndarray) -> np.ndarray:
        """Compute; see :class:`Engine`."""
        return np.asarray(self._model.predict_on_batch(np.asarray(batch, np.float32)), np.float32)


class OpenVINOEngine:
    """The network in OpenVINO, on the CPU; see :func:`load_engine`.

    It computes with 8 bits, or under a given policy with as many as that says, and bfloat16 only where the CPU has
    instructions for it. It is compiled for the shape of each image, which takes a tenth of a second; the last one is
    kept, without its memory.
    """

    #: Measured: 13 with 8 bits, 14 in float32.
    bytes_per_voxel_and_filter = 20

    def __init__(self, weights: Weights, config: UNetConfig, *, policy: str | None = None) -> None:
        import openvino

        from training.prediction.openvino_unet import build_graph

        self._core = openvino.Core()
        precision = "int8" if policy is None else policy.removeprefix("mixed_")
        if precision == "bfloat16" and "BF16" not in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            precision = "float32"
        self._settings = {
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bfloat16" else "f32",
            "PERFORMANCE_HINT": "LATENCY",
            # 0: all cores. The number changes no bit of the result.
            "INFERENCE_NUM_THREADS": int(os.environ.get(THREADS_VARIABLE) or 0),
            # Other processes compute on the same cores, and a pinned thread cannot evade them.
            "ENABLE_CPU_PINNING": False,
        }
        self.name = f"openvino {precision}"
        self._graph = build_graph(weights, config, eight_bits=precision == "int8")
        self._compiled: openvino.CompiledModel | None = None
        self._shape: tuple[int, ...] = ()

    def predict(self, batch: np.ndarray) -> np.ndarray:
        """Compute; see :class:`Engine`."""
        batch = np.ascontiguousarray(batch, np.float32)
        if self._compiled is None or batch.shape != self._shape:
            self._compiled = None  # release it before the next one is made
            graph = self._graph.clone()
            graph.reshape(list(batch.shape))
            self._compiled, self._shape = self._core.compile_model(graph, "CPU", self._settings), batch.shape
        request = self._compiled.create_infer_request()
        result = np.array(request.infer({0: batch}, share_inputs=True, share_outputs=True)[0])
        del request
        self._compiled.release_memory()
        return result
