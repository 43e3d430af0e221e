"""Settings of every test run."""

from __future__ import annotations

import pytest
import torch

# Nets here are so small that handing work to a second thread costs more than the work, all the more on a busy
# machine, where the threads wait for each other.
torch.set_num_threads(1)

# Whole files that need a browser, other processes, a training from end to end or thousands of cases: `make slow`.
SLOW_FILES = (
    "ui/test_browser", "ui/test_soak", "export/test_page", "export/test_web", "recorded/", "test_notebooks",
    "test_tutorial", "test_install", "test_paper_scale", "foundation/training/test_stopping",
    "foundation/networks/test_compiler", "ui/server/test_leaving", "ui/server/test_proxy",
    *(f"hostile/test_{what}" for what in ("checkpoints", "endpoints", "page_handlers", "remote_files")),
)  # fmt: skip


def pytest_collection_modifyitems(items):
    for item in items:
        place = item.path.as_posix().rpartition("/tests/")[2]
        if place.startswith(SLOW_FILES) or "browser" in item.fixturenames:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="module")
def flows_folder(tmp_path_factory):
    """Tiny random flows of pictures."""
    from tests.analysis.flow.image_flows import write_flows

    return write_flows(tmp_path_factory.mktemp("flows"))
