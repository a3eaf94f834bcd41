import numpy as np
import pytest

from training.labels import ET
from training.modalities import ROLES
from training.phantoms.generate import generate
from training.preparation.estimated_t1 import estimate_t1
from training.preparation.store import prepare_phantom


@pytest.fixture(scope="module")
def patch():
    return prepare_phantom(generate(2_100_052, shape=(96, 96, 96)))


def test_the_estimate_follows_the_true_image_and_shows_no_enhancement(patch):
    image, label, brain = patch
    found = estimate_t1(image, brain)
    assert np.corrcoef(found, image[..., ROLES.index("t1")][brain])[0, 1] > 0.5
    enhancing = label[brain] == ET.value
    assert enhancing.sum() > 500
    assert image[..., ROLES.index("t1ce")][brain][enhancing].mean() - found[enhancing].mean() > 1


def test_the_channel_of_t1_is_not_read(patch):
    image, _, brain = patch
    changed = image.copy()
    changed[..., ROLES.index("t1")] = 9
    assert np.array_equal(estimate_t1(changed, brain), estimate_t1(image, brain))
