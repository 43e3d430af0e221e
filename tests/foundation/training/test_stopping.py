"""Ctrl-C, once and twice, amid a step that takes longer than anybody waits; alone and under a launcher."""

from __future__ import annotations

import functools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from foundation.files import checkpoints
from foundation.training import stopping
from foundation.training.loop import STATE_FILE
from foundation.training.stopping import StopRequest

SCRIPT = Path(__file__).with_name("tiny_run.py")
STEP = 17  # of 40; the state before it has seen 17 * 8 samples


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.1)
    return bool(condition())


def launch(out: Path, *arguments: str, processes: int, kill_after: int = 12) -> subprocess.Popen:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    launcher = [
        "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", str(processes), "--num_machines", "1",
        "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", str(port),
    ] if processes > 1 else []  # fmt: skip
    env = os.environ | {"OMP_NUM_THREADS": "1", "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": str(kill_after)}
    command = [sys.executable, *launcher, str(SCRIPT), str(out), *arguments]
    return subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def workers(out: Path, processes: int) -> list[int]:
    """Waits until all are in the long step."""
    files = [out / f"in-long-step-{rank}" for rank in range(processes)]
    assert wait_until(lambda: all(f.exists() and f.read_text() for f in files), 200)
    return [int(f.read_text()) for f in files]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """Number of processes -> weights and EMA of the run that nothing stopped."""

    @functools.cache
    def run(processes: int) -> list[str]:
        out = tmp_path_factory.mktemp("whole")
        launch(out, processes=processes).communicate(timeout=200)
        end = json.loads((out / "rank0.json").read_text())
        return [end[part] for part in ("weights", "ema")]

    return run


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc")
@pytest.mark.timeout(600)  # three starts of two processes each
@pytest.mark.parametrize("processes, times", [(1, 2), (2, 1), (2, 2), (2, 0)])
def test_a_stop_amid_a_long_step_keeps_the_steps_before_it(tmp_path, uninterrupted, processes, times):
    child = launch(tmp_path, "--long-step", str(STEP), processes=processes)
    pids = workers(tmp_path, processes)
    try:
        for i in range(times):
            time.sleep(i)
            child.send_signal(signal.SIGINT)
        if not times:  # nobody is left to pass anything on
            child.kill()
        if processes == 1:  # who started it kills it: here this test, as a container would
            assert wait_until((tmp_path / STATE_FILE).exists, 30)
            child.kill()
        child.communicate(timeout=60)
        assert wait_until(lambda: not any(alive(pid) for pid in pids), 30), "a worker goes on"
    finally:
        for pid in filter(alive, (child.pid, *pids)):
            os.kill(pid, signal.SIGKILL)
    assert checkpoints.peek(tmp_path / STATE_FILE).card["images"] == STEP * 8
    resumed = launch(tmp_path, "--resume", processes=processes)
    assert resumed.wait(200) == 0, resumed.stderr.read()[-3000:]
    resumed.stderr.close()
    assert json.loads((tmp_path / "rank0.json").read_text())["images"] == 320
    end = json.loads((tmp_path / "rank0.json").read_text())
    assert [end[part] for part in ("weights", "ema")] == uninterrupted(processes)


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(stopping, "GRACE", 0.2)
    monkeypatch.setattr(stopping, "POLL", 0.05)


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_nothing_is_saved_amid_an_update(quick, sig):
    saves = []
    with StopRequest(lambda: saves.append(stop.updating.locked())) as stop:
        with stop.updating:
            signal.raise_signal(sig)
            time.sleep(0.6)
            assert stop.asked and saves == []
        assert wait_until(lambda: saves, 10)
        time.sleep(0.3)
    assert saves == [True]  # once, with the lock


def test_a_step_that_ends_in_time_is_not_saved_twice(monkeypatch):
    monkeypatch.setattr(stopping, "POLL", 0.05)
    saves = []
    with StopRequest(lambda: saves.append(1)) as stop:
        signal.raise_signal(signal.SIGINT)
        assert wait_until(lambda: stop.asked, 1)
    assert saves == []


def test_a_save_that_fails_is_a_line(quick, capfd):
    def full():
        raise OSError(28, "No space left on device")

    with StopRequest(full):
        signal.raise_signal(signal.SIGINT)
        time.sleep(0.6)
    assert capfd.readouterr().err.count("\n") == 1


def test_other_signals_and_other_threads_are_left_alone(quick):
    handlers = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    fd = signal.set_wakeup_fd(-1)
    saves = []
    try:
        with StopRequest(lambda: saves.append(1)) as stop:
            before = signal.signal(signal.SIGUSR1, lambda *_: None)
            signal.raise_signal(signal.SIGUSR1)
            time.sleep(0.5)
            signal.signal(signal.SIGUSR1, before)
            assert not stop.asked and saves == []
        assert signal.set_wakeup_fd(-1) == -1
    finally:
        signal.set_wakeup_fd(fd)
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == handlers

    inside = []

    def elsewhere():
        with StopRequest(lambda: None) as stop:
            inside.append((signal.getsignal(signal.SIGINT), stop.asked))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert inside == [(handlers[0], False)]


def test_who_loses_the_launcher_stops_and_who_has_none_does_not(quick, monkeypatch):
    parent, ended, saves = os.getppid(), [], []
    monkeypatch.setattr(stopping.os, "_exit", ended.append)
    for launched in (False, True):
        monkeypatch.setattr(stopping.os, "getppid", lambda: parent)
        with StopRequest(lambda: saves.append(1), launched=launched) as stop:
            monkeypatch.setattr(stopping.os, "getppid", lambda: 1)
            assert wait_until(lambda: ended, 5 if launched else 0.5) == launched
            assert stop.asked == launched
    assert ended[0] == 130 and saves == [1]
