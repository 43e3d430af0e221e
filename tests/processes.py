"""A script on two processes that train together."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

SECONDS = 280.0


def run_on_two(script: Path, *arguments: str) -> None:
    """Run a script by `accelerate launch`, on the CPU; fails with what it wrote."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    command = [
        # --multi_gpu is accelerate's word for "several processes"; with --cpu it starts one, whatever the number
        sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2",
        "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", str(port),
        str(script), *arguments,
    ]  # fmt: skip
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    child = subprocess.run(command, capture_output=True, timeout=SECONDS, env=env, text=True)
    assert child.returncode == 0, child.stderr[-3000:]
