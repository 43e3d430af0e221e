"""What several tests of pure functions of a model start from."""

import pytest

from tests.analysis.conftest import random_pair


@pytest.fixture(scope="module")
def model():
    model = random_pair()[0]
    for p in model.parameters():
        p.requires_grad_(False)
    return model
