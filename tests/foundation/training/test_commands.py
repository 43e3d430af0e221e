"""Commands: settings files by name, and Ctrl-C as an exit code."""

import os
from pathlib import Path

import pytest

from foundation.training.commands import leave, resumable, settings_file, training_command

CONFIGS = Path(__file__).parents[3] / "koopman_core" / "configs"


@pytest.mark.parametrize("name", ["shapes_teacher", "shapes_teacher.toml", "koopman_core/configs/shapes_teacher.toml"])
def test_a_settings_file_of_the_package_is_found_from_anywhere(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    assert settings_file(Path(name), "koopman_core").read_text() == (CONFIGS / "shapes_teacher.toml").read_text()


def test_a_file_that_is_there_comes_first_and_one_that_is_nowhere_stays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "shapes_teacher"
    mine.write_text("")
    assert settings_file(Path("shapes_teacher"), "koopman_core").resolve() == mine
    for package in ("koopman_core", "no_such_package"):
        assert settings_file(Path("nothing"), package) == Path("nothing")
    assert not settings_file(Path("../recipes"), "koopman_core").exists()


def test_ctrl_c_is_an_exit_code_and_a_line(capfd):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    arguments = ["make", "--config", "x.toml"]
    assert training_command("koopman_core.train", "", ("make",), lambda: {"make": stopped}, arguments) == 130
    assert resumable("x", stopped) == 130
    assert capfd.readouterr().err.count("\n") == 2


@pytest.mark.parametrize("world, at_once", [("1", False), ("2", True)])
def test_one_of_several_workers_ends_at_once(monkeypatch, world, at_once):
    ended = []
    monkeypatch.setenv("WORLD_SIZE", world)
    monkeypatch.setattr(os, "_exit", ended.append)
    with pytest.raises(SystemExit) as left:
        leave(3)
    assert left.value.code == 3 and ended == ([3] if at_once else [])
