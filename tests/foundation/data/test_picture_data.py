"""Pools of pictures: what a network is told of their labels."""

import numpy as np
import pytest

from foundation.data.picture_data import told_labels


def test_labels_fit_the_network():
    labels = np.array([0, 4, 2])
    assert told_labels(labels, 0).tolist() == [-1, -1, -1]
    assert told_labels(labels, 5) is labels
    with pytest.raises(ValueError, match="5 .* 3"):
        told_labels(labels, 3)
