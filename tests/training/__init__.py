from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from training.errors import InputError


@contextmanager
def rejected(message: str, field: str | None = None) -> Iterator[pytest.ExceptionInfo[InputError]]:
    """Expect an ``InputError`` whose message matches, and whose field is the given one."""
    with pytest.raises(InputError, match=message) as caught:
        yield caught
    assert field is None or caught.value.field == field
