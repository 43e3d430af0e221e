"""Settings of every test run."""

from __future__ import annotations

import torch

# Nets here are so small that handing work to a second thread costs more than the work, all the more on a busy
# machine, where the threads wait for each other.
torch.set_num_threads(1)
