"""A teacher with augmentation labels, its trajectories and its student, for the test that starts two processes.

    python tests/koopman_core/two_workers.py FOLDER

FOLDER holds teacher.toml, trajectories.toml and student.toml. Writes FOLDER/rank<r>.json at the end.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from foundation.training.commands import leave
from koopman_core.train import main

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    codes = []
    for name in ("teacher", "trajectories", "student"):
        codes.append(main([name, "--config", str(folder / f"{name}.toml"), "--quiet"]))
        torch.distributed.barrier()
    about = {"codes": codes, "world": os.environ["WORLD_SIZE"]}
    (folder / f"rank{os.environ['RANK']}.json").write_text(json.dumps(about))
    leave(0)
