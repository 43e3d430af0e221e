"""Settings of every test run."""

from __future__ import annotations

import pytest
import torch

# Nets here are so small that handing work to a second thread costs more than the work, all the more on a busy
# machine, where the threads wait for each other.
torch.set_num_threads(1)


@pytest.fixture(scope="module")
def flows_folder(tmp_path_factory):
    """Tiny random flows of pictures."""
    from tests.analysis.flow.image_flows import write_flows

    return write_flows(tmp_path_factory.mktemp("flows"))
