"""The cache is bounded in bytes and forgets what was used longest ago."""

import numpy as np
import torch

from analysis.core.cache import ByteLRU, size_of


def test_sizes():
    assert size_of([torch.zeros(10), np.zeros(5, np.uint8)]) == 45


def test_oldest_goes_first_and_bytes_stay_bounded():
    made = []

    def maker(i):
        return lambda: made.append(i) or np.zeros(40, np.uint8)

    cache = ByteLRU(100)
    for i in (0, 1, 0, 2, 0, 1):  # 2 pushes out 1, which is then made again and pushes out 2
        cache.get(i, maker(i))
        assert cache.bytes <= 100
    assert made == [0, 1, 2, 1]
    assert len(cache) == 2 and cache.bytes == 80


def test_what_is_too_large_is_returned_but_not_kept():
    cache = ByteLRU(10)
    assert cache.get("a", lambda: np.zeros(11, np.uint8)).nbytes == 11
    assert len(cache) == 0 and cache.bytes == 0
