import pytest


@pytest.fixture
def qt(desktop):
    import qt

    return qt
