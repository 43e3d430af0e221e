"""The commands of docs/paper_scale.md, one after the other, on a tiny pickle in the official layout."""

import base64
import contextlib
import importlib
import io
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import koopman_core
from foundation import noise
from koopman_core.convert import OFFICIAL_LICENCE
from tests.koopman_core.official_layout import reference, snapshot

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "paper_scale.md").read_text()
PICKLE = "edm-cifar10-32x32-uncond-vp.pkl"
# what makes each command small; the page's own settings stay otherwise
SMALL = {
    "trajectories": "--trajectories.count=6 --trajectories.steps=3 --run.compile=off --quiet",
    "student": "--training.images=8 --training.batch=4 --training.compile=off --student.lambda2=0.0"
    " --training.images_per_fid=0 --quiet",
    "evaluate": "--seeds 2 --parts fidelity",
}


def commands() -> list[str]:
    """Of the first section: indented lines, from converting to the app."""
    section = PAGE.split("## Three commands")[1].split("\n## ")[0]
    return re.findall(r"^    (\S.*)$", section, re.M)


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """The folder after all commands but the last, which starts the app; and that last one."""
    folder = tmp_path_factory.mktemp("paper")
    settings, weights, _ = reference()
    (folder / PICKLE).write_bytes(snapshot(weights, settings))
    (folder / "koopman_core").symlink_to(ROOT / "koopman_core")
    *lines, last = commands()
    printed = ""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for line in lines:
            words = shlex.split(line)
            if words[0] == "mkdir":
                Path(words[-1]).mkdir()
            elif words[0] == "cp":
                shutil.copy(*words[1:])
            else:
                printed = run(words[words.index("-m") + 1 :])
    return folder, last, printed


def run(words: list[str]) -> str:
    """A module with its arguments; in this process where its `main` will stay where it is."""
    module, *arguments = words
    if module.startswith("koopman_core"):
        small = SMALL.get(arguments[0], "").split()
        assert importlib.import_module(module).main([*arguments, *small]) == 0
        return ""
    command = [sys.executable, "-m", *words, *SMALL["evaluate"].split()]
    env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    child = subprocess.run(command, env=env, capture_output=True, text=True, timeout=200)
    assert child.returncode == 0, child.stdout[-1000:] + child.stderr[-2000:]
    return child.stdout


def test_the_table_of_the_last_command_speaks_of_the_student(followed):
    _, _, printed = followed
    assert "paper-cifar10" in printed and "teacher" in printed


@contextlib.contextmanager
def started(folder: Path, line: str):
    """The address of the app that a line starts, on a free port; it is stopped afterwards."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program, script, *options = shlex.split(line)
    assert program == "python"
    command = [sys.executable, str(ROOT / script), *options, "--port", str(port)]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as app:
        try:
            said = b""
            while f":{port}/".encode() not in said:  # the app tells its address just before it listens
                part = app.stdout.readline()
                said += part
                assert part, said.decode()
            yield f"http://127.0.0.1:{port}/gradio_api/call"
        finally:
            app.terminate()


def answer(address: str, name: str, *data):
    """What an endpoint answers, by the two requests of docs/api.md."""
    body = json.dumps({"data": data}).encode()
    request = urllib.request.Request(f"{address}/{name}", body, {"Content-Type": "application/json"})
    for _ in range(200):
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                event = json.load(response)["event_id"]
            break
        except urllib.error.URLError as e:
            assert isinstance(e.reason, ConnectionRefusedError), e  # it does not listen yet
            time.sleep(0.1)
    with urllib.request.urlopen(f"{address}/{name}/{event}", timeout=60) as response:
        kind, value = re.findall(r"^event: (.*)\ndata: (.*)$", response.read().decode(), re.M)[-1]
    assert kind == "complete", value
    return json.loads(value)[0]


def test_the_app_of_the_last_command_answers_for_the_model(followed):
    folder, last, _ = followed
    assert last == "python app.py --models models"
    with started(folder, last) as address:
        (told,) = answer(address, "models")
        made = answer(address, "generate", "paper-cifar10", [3], -1)
    assert told["name"] == "paper-cifar10" and told["card"]["origin"]["file"] == PICKLE
    assert OFFICIAL_LICENCE in told["card"]["licence"]
    model = koopman_core.load(folder / "models" / "paper-cifar10.hkd.safetensors")
    with torch.no_grad():
        right = model.one_step(noise([3], model.picture_shape))[0].clamp(-1, 1)
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(made["pictures"][0]))), dtype=float)
    assert np.abs(shown - 127.5 * (right.permute(1, 2, 0).numpy() + 1)).max() <= 1
    assert made["nfe"] == 1 and shown.std() > 1
