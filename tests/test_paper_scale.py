"""The commands of docs/paper_scale.md, one after the other, on a tiny pickle in the official layout."""

import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_the_app_finds_the_model_with_its_teacher(followed):
    from analysis import ModelLibrary

    folder, last, _ = followed
    assert last == "python app.py --models models"
    library = ModelLibrary(folder / "models")
    assert library.names() == ["paper-cifar10"]
    bench = library.get("paper-cifar10")
    assert bench.teacher is not None and bench.model.card["origin"]["file"] == PICKLE
    assert "not for commercial use" in bench.model.card["licence"]
