import math

import pytest

from training.parallel import map_unordered


@pytest.mark.parametrize("workers", [1, 2])
def test_every_job_is_done_once_and_an_error_is_raised(workers):
    assert sorted(map_unordered(math.sqrt, [float(k * k) for k in range(20)], workers=workers)) == list(range(20))
    with pytest.raises(ValueError, match="math domain"):
        list(map_unordered(math.sqrt, [4.0, -1.0, 9.0], workers=workers))
