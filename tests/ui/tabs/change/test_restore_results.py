"""What a restoration's result says."""

from __future__ import annotations

import numpy as np

from analysis.koopman.restoration import HoleNumbers
from analysis.workbench.editing import RestoreResult
from ui.tabs.change.restore_results import done_line, hole_numbers


def result_of(numbers, stopped=False) -> RestoreResult:
    grey = np.zeros((8, 8, 3), np.uint8)
    return RestoreResult(grey, grey, grey[None], np.ones(1), 1, stopped, numbers)


def test_an_infinite_psnr_is_called_identical():
    words = hole_numbers(result_of(HoleNumbers(float("inf"), 1.0, None)), "inpaint")
    assert "identical" in words and "inf" not in words and "LPIPS" not in words and "SSIM of the hole" in words
    assert hole_numbers(result_of(None), "inpaint") == ""
    assert "0.250" in hole_numbers(result_of(HoleNumbers(12.0, None, 0.25)), "colorize")


def test_the_line_below_counts():
    assert " 1 network call." in done_line(result_of(None), 1)
    assert " 1 of 9 " in done_line(result_of(None, stopped=True), 9) and " of " not in done_line(result_of(None), 9)
