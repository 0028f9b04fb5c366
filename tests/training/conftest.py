"""Images that the tests of training share."""

from pathlib import Path

import pytest
from training_programs import make_images


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small tree of noise, three classes of ten images."""
    place = tmp_path_factory.mktemp("images")
    make_images(place)
    return place
