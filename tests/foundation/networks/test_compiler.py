"""Whether code can be compiled is tried, not read off a name."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from foundation.mistakes import Mistake
from foundation.networks import compiler
from tests.refusals import refuses

ROOT = Path(__file__).parents[3]
TINY_RUN = ROOT / "tests" / "foundation" / "training" / "tiny_run.py"


@pytest.fixture(autouse=True)
def fresh():
    compiler.compile_failure.cache_clear()
    yield
    compiler.compile_failure.cache_clear()


def fake_compiler(folder: Path, script: str) -> dict[str, str]:
    """The environment in which g++ is this shell script."""
    folder.mkdir()
    for name in compiler.COMPILERS:
        (folder / name).write_text(f"#!/bin/bash\n{script}\n")
        (folder / name).chmod(0o755)
    cache = str(folder / "cache")  # with nothing compiled in it
    return os.environ | {"PATH": f"{folder}:{os.environ['PATH']}", "TORCHINDUCTOR_CACHE_DIR": cache}


WITHOUT_PYTHON_H = """
case "$1" in --version) exec /usr/bin/g++ "$@";; esac
args=(); for a in "$@"; do case "$a" in -I*include/python3*) ;; *) args+=("$a");; esac; done
exec /usr/bin/g++ "${args[@]}"
"""


@pytest.mark.parametrize(
    "script",
    [
        "exit 1",
        pytest.param(
            WITHOUT_PYTHON_H,
            marks=pytest.mark.skipif(not Path("/usr/bin/g++").exists(), reason="there is no g++ to be disturbed"),
        ),
    ],
    ids=["exits with 1", "no Python.h"],
)
def test_a_run_with_a_broken_compiler_goes_on_uncompiled(tmp_path, script):
    env = fake_compiler(tmp_path / "bin", script)
    command = [sys.executable, str(TINY_RUN), str(tmp_path / "out"), "--compile", "auto"]
    child = subprocess.run(command, capture_output=True, text=True, timeout=240, env=env, cwd=ROOT)
    assert child.returncode == 0, child.stderr[-3000:]
    assert (tmp_path / "out" / "rank0.json").exists()
    said = [line for line in child.stderr.splitlines() if line.strip()]
    assert len(said) == 1 and "compile" in said[0] and "Traceback" not in child.stderr


def test_compiling_on_demand_is_refused_in_a_sentence(monkeypatch):
    monkeypatch.setattr(compiler.shutil, "which", lambda name: None)
    assert not compiler.can_compile("auto") and not compiler.can_compile("off")
    with refuses("compile", error=Mistake):
        compiler.can_compile("on")


def test_the_verdict_is_made_once(monkeypatch, capfd):
    tries = []

    def broken(function):
        tries.append(function)
        raise RuntimeError("first line\n  x.cpp:1: fatal error: Python.h: No such file")

    monkeypatch.setattr(compiler.shutil, "which", lambda name: name)
    monkeypatch.setattr(torch, "compile", broken)
    assert not compiler.can_compile("off") and tries == []
    assert not compiler.can_compile("auto") and not compiler.can_compile("auto") and len(tries) == 1
    assert capfd.readouterr().err.count("\n") == 1
    with refuses("compile", "Python.h", Mistake):
        compiler.can_compile("on")


def test_wrong_numbers_count_as_broken(monkeypatch):
    monkeypatch.setattr(compiler.shutil, "which", lambda name: name)
    monkeypatch.setattr(torch, "compile", lambda function: lambda x: function(x) + 1)
    assert not compiler.can_compile("auto")
    compiler.compile_failure.cache_clear()
    state = torch.get_rng_state()
    monkeypatch.setattr(torch, "compile", lambda function: function)
    assert compiler.can_compile("auto") and compiler.can_compile("on")
    assert torch.equal(torch.get_rng_state(), state)
