"""The wheel holds everything, and works where nothing but it and its dependencies is there."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = [p.removesuffix("*") for p in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]]
PARTS = (*PACKAGES, "app.py", "pyproject.toml", "requirements.txt", "README.md", "LICENSE")
JUNK = shutil.ignore_patterns("__pycache__")
USED = """
import sys, koopman_core, flow_core, foundation
from foundation.files.models import MODELS_DIR
from ui.theme import STYLE_SHEET
assert all(m.__file__.startswith(sys.prefix) for m in (koopman_core, flow_core, foundation)), koopman_core.__file__
assert str(MODELS_DIR).startswith(sys.prefix) and STYLE_SHEET.is_file()
model = koopman_core.load("shapes")
print(tuple(model.one_step(foundation.noise([1], model.picture_shape)).shape))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a copy: the build leaves its folders beside the sources."""
    pytest.importorskip("setuptools")
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, source / part, ignore=JUNK)
        else:
            shutil.copy(ROOT / part, source)
    build = f"from setuptools.build_meta import build_wheel; build_wheel({str(out)!r})"
    done = subprocess.run([sys.executable, "-c", build], cwd=source, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr[-3000:]
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """An environment with the wheel, and the packages of this one behind it; its folder of commands."""
    home = tmp_path_factory.mktemp("env")
    venv.create(home, with_pip=False, symlinks=True)
    command = [sys.executable, "-m", "pip", "--python", str(home), "install", "-q", "--no-deps", "--no-index"]
    done = subprocess.run([*command, str(wheel)], capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr[-3000:]
    site = next(home.glob("lib/python3*/site-packages"))
    (site / "behind.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home / "bin"


def run(command: list, tmp_path: Path) -> subprocess.CompletedProcess:
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=250)


def test_the_wheel_holds_every_file_of_its_packages(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    files = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert len(files) > 200 and files - names == set()
    assert {n.split("/")[0] for n in names if ".dist-info/" not in n} == {*PACKAGES, "app.py"}


def test_models_are_found_from_an_installed_wheel(installed, tmp_path):
    done = run([installed / "python", "-c", USED], tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split("\n")[0] == "(1, 3, 32, 32)"


@pytest.mark.parametrize("name", PROJECT["project"]["scripts"])
def test_the_commands_are_there_and_answer(installed, tmp_path, name):
    module, function = PROJECT["project"]["scripts"][name].split(":")
    assert callable(getattr(importlib.import_module(module), function))
    done = run([installed / name, "--help"], tmp_path)
    assert done.returncode == 0 and "usage:" in done.stdout, done.stderr[-3000:]
