import numpy as np
import pytest

from training.prediction.tiles import predict_in_tiles, tile_boxes


@pytest.mark.parametrize("shape", [(64, 64, 64), (80, 48, 128), (16, 160, 32)])
def test_tiles_cover_every_voxel_and_stay_inside(shape):
    covered = np.zeros(shape, int)
    for box in tile_boxes(shape, (48, 48, 48), 0.5):
        assert covered[box].size == np.prod([min(48, side) for side in shape])
        covered[box] += 1
    assert covered.min() >= 1


def test_a_voxelwise_function_is_reproduced_exactly_and_the_work_can_be_stopped_at_any_tile():
    image = np.random.default_rng(0).normal(size=(80, 64, 48, 4)).astype(np.float32)
    done, merged = list(predict_in_tiles(image, lambda batch: batch * 2, classes=4, tile=(32, 32, 32)))[-1]
    assert done == 1.0
    assert merged is not None
    np.testing.assert_allclose(merged, image * 2, rtol=1e-5, atol=1e-6)
    calls: list[int] = []

    def predict(batch: np.ndarray) -> np.ndarray:
        calls.append(1)
        return batch

    tiles = predict_in_tiles(np.zeros((64, 64, 64, 4), np.float32), predict, classes=4, tile=(32, 32, 32))
    assert [next(tiles)[0] for _ in range(3)] == pytest.approx([1 / 27, 2 / 27, 3 / 27])
    tiles.close()
    assert len(calls) == 3
