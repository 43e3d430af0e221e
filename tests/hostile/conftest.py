"""Counts hostile cases and holds them to a bounded memory; the summary of a run says how many there were."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile.judge import Count
from tests.ui.conftest import library, models_folder  # noqa: F401 (tiny models, the same as the page's tests use)

NAME = "hostile cases"
MORE_MEMORY = 512 * 2**20  # bytes that all cases of one test may take at once, and libraries that they load


def _peak(reset: bool = False) -> int | None:
    """Most memory that this process held since the last reset, in bytes; None where Linux does not tell."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    before, start = Count.cases, _peak(reset=True)
    result = yield
    item.user_properties.append((NAME, Count.cases - before))
    if start is not None:
        assert _peak() - start < MORE_MEMORY, "a case took too much memory"
    return result


def pytest_terminal_summary(terminalreporter):
    reports = [r for rs in terminalreporter.stats.values() for r in rs if getattr(r, "when", None) == "call"]
    count = sum(n for r in reports for name, n in r.user_properties if name == NAME)
    if count:
        terminalreporter.write_line(f"{NAME}: {count}")
