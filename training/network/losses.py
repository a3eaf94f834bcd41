"""The loss: soft Dice plus categorical cross-entropy, both computed from logits.

Dice: Milletari et al. 2016 (doi:10.1109/3DV.2016.79), averaged over the tumor classes. The sum with
cross-entropy: Isensee et al. 2021 (doi:10.1038/s41592-020-01008-z).
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


def soft_dice_loss(y_true: Any, logits: Any, *, smooth: float = 1.0) -> Any:
    """Return 1 minus the mean soft Dice of the tumor classes.

    The sums include the batch ("batch Dice"), so that a patch without a class does not reduce its Dice to the smoothing
    term.

    Args:
        y_true: One-hot truth ``(batch, x, y, z, classes)``.
        logits: Network output of the same shape, before the softmax.
        smooth: Added to numerator and denominator, in voxels.

    Returns:
        A float32 scalar, 0-1.
    """
    probabilities = ops.softmax(ops.cast(logits, "float32"), axis=-1)
    y_true = ops.cast(y_true, "float32")
    axes = (0, 1, 2, 3)
    overlap = ops.sum(probabilities * y_true, axis=axes)
    total = ops.sum(probabilities, axis=axes) + ops.sum(y_true, axis=axes)
    dice = (2.0 * overlap + smooth) / (total + smooth)
    return 1.0 - ops.mean(dice[1:])


def cross_entropy_loss(y_true: Any, logits: Any) -> Any:
    """Return the mean categorical cross-entropy over all voxels, from logits, as a float32 scalar."""
    y_true = ops.cast(y_true, "float32")
    return ops.mean(ops.categorical_crossentropy(y_true, ops.cast(logits, "float32"), from_logits=True))


@keras.saving.register_keras_serializable(package="tumorloop")
class DiceCrossEntropy(keras.losses.Loss):
    """Weighted sum of :func:`soft_dice_loss` and :func:`cross_entropy_loss`.

    Args:
        dice_weight: Weight of the Dice term.
        cross_entropy_weight: Weight of the cross-entropy term.
        name: Name shown in logs.
    """

    def __init__(
        self,
        *,
        dice_weight: float = 1.0,
        cross_entropy_weight: float = 1.0,
        name: str = "dice_cross_entropy",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.dice_weight = dice_weight
        self.cross_entropy_weight = cross_entropy_weight

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the scalar loss of one batch; for shapes see :func:`soft_dice_loss`."""
        dice = self.dice_weight * soft_dice_loss(y_true, y_pred)
        return dice + self.cross_entropy_weight * cross_entropy_loss(y_true, y_pred)

    def get_config(self) -> dict[str, Any]:
        """Return the configuration for serialization."""
        weights = {"dice_weight": self.dice_weight, "cross_entropy_weight": self.cross_entropy_weight}
        return {**super().get_config(), **weights}
