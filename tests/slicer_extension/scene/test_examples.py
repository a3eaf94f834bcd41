import doctest

import pytest
from TumorLoopLib.scene import bounding_box, labels, roles, segment_copy, series_names


@pytest.mark.parametrize("module", [bounding_box, labels, roles, segment_copy, series_names])
def test_the_examples_in_the_docstrings_are_right(module):
    result = doctest.testmod(module, extraglobs={"np": __import__("numpy")})
    assert result.attempted > 0
    assert result.failed == 0
