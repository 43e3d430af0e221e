"""What a restoration's result says."""

from __future__ import annotations

import numpy as np

from analysis.koopman.restoration import HoleNumbers
from analysis.workbench.restoration import RestoreResult
from tests.sentences import numbers
from ui.tabs.change.restore_results import done_line, hole_numbers


def result_of(numbers, stopped=False) -> RestoreResult:
    grey = np.zeros((8, 8, 3), np.uint8)
    return RestoreResult(grey, grey, grey[None], np.ones(1), 1, stopped, numbers)


def test_an_infinite_psnr_is_called_identical():
    words = hole_numbers(result_of(HoleNumbers(float("inf"), 1.0, None)), "inpaint")
    assert "inf" not in words and "LPIPS" not in words and "SSIM" in words and numbers(words) == [1]  # of SSIM alone
    assert hole_numbers(result_of(None), "inpaint") == ""
    assert "0.250" in hole_numbers(result_of(HoleNumbers(12.0, None, 0.25)), "colorize")


def test_the_line_below_counts():
    assert numbers(done_line(result_of(None), 1)) == numbers(done_line(result_of(None), 9)) == [1]  # network call
    assert numbers(done_line(result_of(None, stopped=True), 9)) == [1, 9, 1]  # of 9 steps
