"""The training loop: exact resume after any end, EMA, schedule, recovery, two workers."""

from __future__ import annotations

import csv
import importlib.util
import itertools
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from foundation.files import checkpoints
from foundation.files.checkpoints import CheckpointError
from foundation.mistakes import Mistake
from foundation.training.loop import STATE_FILE, STEPS_BEFORE_UNCOMPILED, TrainingConfig, swapped, train
from foundation.training.optimizers import fast_bf16
from tests.processes import run_on_two
from tests.refusals import refuses
from tests.sentences import tells

SCRIPT = Path(__file__).with_name("tiny_run.py")
spec = importlib.util.spec_from_file_location("tiny_run", SCRIPT)
tiny = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tiny)
TinyTask, tiny_config, IDENTITY = tiny.TinyTask, tiny.tiny_config, tiny.IDENTITY


def run(out, task=None, config=None, resume=False, **options):
    task = task or TinyTask()
    result = train(task, config or tiny_config(), out, identity=IDENTITY, resume=resume, quiet=True, **options)
    return task, result


def curve(out) -> list[dict[str, float]]:
    """log.csv without the column of the clock."""
    with open(out / "log.csv", newline="") as f:
        return [{k: float(v) for k, v in row.items() if k != "seconds"} for row in csv.DictReader(f)]


def state(out) -> dict[str, torch.Tensor]:
    return checkpoints.load_tensors(out / STATE_FILE, kind="training-state")


def assert_same_run(a, b) -> None:
    assert curve(a) == curve(b)
    first, second = state(a), state(b)
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing interrupted: 40 steps of 8."""
    out = tmp_path_factory.mktemp("whole")
    task, result = run(out)
    assert result.finished and result.images == 320 and result.seconds > 0
    return out, task, result


# --- one run ---------------------------------------------------------------------------------------------------


def test_the_log_has_a_row_an_interval_and_the_last(whole):
    rows = curve(whole[0])
    assert [r["images"] for r in rows] == [*range(24, 320, 24), 320]
    assert rows[0].keys() == {"images", "loss", "absolute", "grad_norm"}
    assert rows[-1]["loss"] < 0.5 * rows[0]["loss"]


def test_the_state_holds_weights_ema_and_moments(whole):
    out, task, result = whole
    saved = state(out)
    assert not any("frozen" in name for name in saved)
    # weights and EMA of six tensors; two moments and a step count for five by Adam, one moment for one by Muon
    assert len(saved) == 6 * 2 + 5 * 3 + 1
    for name, p in task.trainable_state().items():
        assert torch.equal(saved[f"model.{name}"], p) and torch.equal(saved[f"ema.{name}"], result.ema[name])
        assert f"exp_avg.{name}" in saved and saved.get(f"step.{name}", 40) == 40
    assert json.loads(json.dumps(checkpoints.peek(out / STATE_FILE).config)) == IDENTITY


def test_a_run_repeats_itself_and_another_seed_does_not(whole, tmp_path):
    run(tmp_path / "again")
    assert_same_run(whole[0], tmp_path / "again")
    run(tmp_path / "other", config=tiny_config(seed=1))
    assert curve(tmp_path / "other") != curve(whole[0])


def test_the_callers_generator_does_not_matter(whole, tmp_path):
    task = TinyTask()
    torch.manual_seed(99)
    run(tmp_path, task)
    assert_same_run(whole[0], tmp_path)


def test_sampling_during_the_run_sees_the_ema_and_changes_nothing(whole, tmp_path):
    task = TinyTask()
    seen = []

    def sample(images):
        seen.append((images, {k: p.detach().clone() for k, p in task.trainable_state().items()}))
        task.eval()
        torch.randn(1000)  # a careless callback

    _, result = run(tmp_path, task, tiny_config(images_per_sample_grid=100), on_sample=sample)
    assert [images for images, _ in seen] == [104, 200, 304, 320]
    assert all(torch.equal(seen[-1][1][k], result.ema[k]) for k in result.ema)
    assert_same_run(whole[0], tmp_path)


def test_checkpoints_are_announced_with_the_ema(tmp_path):
    seen = []
    config = tiny_config(images=64)
    _, result = run(tmp_path, config=config, on_checkpoint=lambda *a: seen.append(a))
    assert len(seen) == 1  # the one at the end
    ema, images, seconds = seen[0]
    assert images == 64 and 0 < seconds <= result.seconds
    assert all(torch.equal(ema[k], result.ema[k]) and ema[k] is not result.ema[k] for k in ema)


# --- killed, stopped, resumed ----------------------------------------------------------------------------------


def test_killed_in_a_save_and_resumed_is_the_run_that_was_not(whole, tmp_path):
    """SIGKILL while the state of step 17 is being written: the one of step 16 stands, amid a row of the log."""
    child = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path), "--kill-in-save", "17"], capture_output=True, timeout=240
    )
    assert child.returncode == -signal.SIGKILL, child.stderr.decode()
    assert checkpoints.peek(tmp_path / STATE_FILE).card["images"] == 128
    assert not (tmp_path / "rank0.json").exists()
    _, result = run(tmp_path, resume=True)
    assert result.finished and result.images == 320
    assert_same_run(whole[0], tmp_path)


def test_rows_behind_the_state_are_cut_on_resume(tmp_path):
    every = {"images_per_log": 8, "schedule": "constant"}  # a schedule that does not depend on the end
    run(tmp_path / "a", config=tiny_config(**every))
    run(tmp_path / "b", config=tiny_config(**every, images=160))
    with open(tmp_path / "b" / "log.csv", "a") as f:  # as a run leaves it that died between log and checkpoint
        f.write("168,1.5,9,9,9\n176,1.6,9,9,9\n18")
    run(tmp_path / "b", config=tiny_config(**every), resume=True)
    assert [r["images"] for r in curve(tmp_path / "b")] == [*range(8, 321, 8)]
    assert curve(tmp_path / "a") == curve(tmp_path / "b")


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_cleanly_and_it_resumes(whole, tmp_path, sig):
    class Stopped(TinyTask):
        def draw(self, step, n, generator):
            if step == 16:
                signal.raise_signal(sig)
                signal.raise_signal(sig)  # impatience does not tear the state
            return super().draw(step, n, generator)

    handler = signal.getsignal(sig)
    _, result = run(tmp_path, Stopped())
    assert signal.getsignal(sig) is handler
    assert not result.finished and result.images == 17 * 8  # the step under way is finished
    assert checkpoints.peek(tmp_path / STATE_FILE).card["images"] == 17 * 8
    _, resumed = run(tmp_path, resume=True)
    assert resumed.finished and resumed.seconds > result.seconds
    assert_same_run(whole[0], tmp_path)


def test_resume_with_nothing_there_starts_anew(whole, tmp_path):
    run(tmp_path, resume=True)
    assert_same_run(whole[0], tmp_path)


def test_resume_of_a_finished_run_does_nothing(whole, tmp_path):
    run(tmp_path)
    task = TinyTask()
    _, result = run(tmp_path, task, resume=True)
    assert result.finished and task.drawn == []
    assert_same_run(whole[0], tmp_path)


def test_without_resume_a_run_is_not_overwritten(tmp_path):
    run(tmp_path, config=tiny_config(images=80))
    before = (tmp_path / STATE_FILE).read_bytes()
    with pytest.raises(CheckpointError, match="--resume"):
        run(tmp_path)
    assert (tmp_path / STATE_FILE).read_bytes() == before


@pytest.mark.parametrize(("before", "after"), [("adam", "muon"), ("muon", "adam")])
def test_another_optimizer_takes_the_weights_and_starts_its_moments_anew(tmp_path, before, after):
    run(tmp_path, config=tiny_config(images=160, optimizer=before))
    at_160 = state(tmp_path)
    task, result = run(tmp_path, config=tiny_config(images=160, optimizer=after), resume=True)
    assert all(torch.equal(p, at_160[f"model.{k}"]) for k, p in task.trainable_state().items())
    _, result = run(tmp_path, config=tiny_config(optimizer=after), resume=True)
    rows = curve(tmp_path)
    assert result.finished and rows[-1]["loss"] < 0.5 * rows[0]["loss"]
    moments = {k.removesuffix(".net.3.weight") for k in state(tmp_path) if k.endswith(".net.3.weight")}
    assert moments == {"model", "ema", "exp_avg"} | ({"exp_avg_sq", "step"} if after == "adam" else set())


@pytest.mark.parametrize("identity", [{}, {"network": {"hidden": 21}, "task": "tiny"}, IDENTITY | {"more": 1}])
def test_a_state_of_another_run_is_refused(tmp_path, identity):
    run(tmp_path, config=tiny_config(images=16))
    before = (tmp_path / STATE_FILE).read_bytes()
    with refuses("out", error=CheckpointError):
        train(TinyTask(), tiny_config(), tmp_path, identity=identity, resume=True, quiet=True)
    assert (tmp_path / STATE_FILE).read_bytes() == before


def test_a_damaged_state_is_refused(tmp_path):
    run(tmp_path, config=tiny_config(images=16))
    content = (tmp_path / STATE_FILE).read_bytes()
    (tmp_path / STATE_FILE).unlink()
    (tmp_path / STATE_FILE).write_bytes(content[:-10])
    with pytest.raises(CheckpointError, match=STATE_FILE):
        run(tmp_path, resume=True)


@pytest.mark.parametrize("damage", ["missing", "misshapen", "card", "moment"])
def test_a_state_that_lacks_what_it_must_hold_is_refused(tmp_path, damage):
    run(tmp_path, config=tiny_config(images=16))
    tensors, card = state(tmp_path), checkpoints.peek(tmp_path / STATE_FILE).card
    if damage == "missing":
        del tensors["ema.net.0.weight"]
    elif damage == "misshapen":
        tensors["model.net.0.weight"] = torch.zeros(1)  # would broadcast silently
    elif damage == "moment":
        tensors["exp_avg.net.0.weight"] = torch.zeros(1)
    else:
        del card["images"]
    checkpoints.save(tmp_path / STATE_FILE, tensors, kind="training-state", config=IDENTITY, card=card)
    with pytest.raises(CheckpointError, match=STATE_FILE):
        run(tmp_path, resume=True)


def test_the_state_of_the_papers_networks_may_be_loaded(tmp_path, monkeypatch):
    """Weights, EMA and two moments of 66 M parameters are more than a checkpoint from outside may hold."""
    run(tmp_path, config=tiny_config(images=16))
    limits = []
    peek = checkpoints.peek

    def spy(path, *, max_parameters=checkpoints.MAX_PARAMETERS):
        limits.append(max_parameters)
        return peek(path, max_parameters=max_parameters)

    monkeypatch.setattr(checkpoints, "peek", spy)
    run(tmp_path, resume=True)
    assert limits and min(limits) > 4 * (61_805_571 + 4_227_072)


# --- EMA and schedule ------------------------------------------------------------------------------------------


def test_ema_against_its_definition(tmp_path):
    """EDM: the half-life is the smaller of its setting and 5 % of what was seen; weights recorded step by step."""

    class Recorded(TinyTask):
        history: list  # per instance, below

        def forward(self, progress, x, y):
            self.history.append([p.detach().double().clone() for p in self.net.parameters()])
            return super().forward(progress, x, y)

    task = Recorded()
    task.history = []
    config = tiny_config(ema_halflife=12, ema_rampup=0.05)  # the setting takes over at 240 images
    _, result = run(tmp_path, task, config)
    task.history.append([p.detach().double() for p in task.net.parameters()])
    assert len(task.history) == 41
    ema = task.history[0]
    for step, weights in enumerate(task.history[1:]):
        seen = 8 * (step + 1)
        keep = 2.0 ** (-8 / min(12, 0.05 * seen))
        ema = [keep * e + (1 - keep) * w for e, w in zip(ema, weights, strict=True)]
    for found, expected in zip(result.ema.values(), ema, strict=True):
        torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)
    assert any(not torch.allclose(e, w, atol=1e-5) for e, w in zip(ema, task.history[-1], strict=True))


def test_schedules():
    cosine = TrainingConfig(images=1000, batch=10, warmup=0, lr_final=0.1)
    for seen, expected in [(0, 1.0), (250, 0.1 + 0.45 * (1 + math.sqrt(0.5))), (500, 0.55), (1000, 0.1), (2000, 0.1)]:
        assert cosine.lr_factor(seen) == pytest.approx(expected)
    constant = TrainingConfig(images=1000, batch=10, warmup=100, schedule="constant")
    for seen, expected in [(0, 0.1), (10, 0.2), (90, 1.0), (500, 1.0), (1000, 1.0)]:
        assert constant.lr_factor(seen) == pytest.approx(expected)  # the first step already moves
    decay = TrainingConfig(images=1000, batch=10, warmup=0, schedule="decay")
    for seen, expected in [(0, 1.0), (49, 1.0), (50, 0.95), (999, 0.95**19), (1000, 0.95**20)]:
        assert decay.lr_factor(seen) == pytest.approx(expected)


def test_the_schedule_reaches_every_group_of_the_optimizer(tmp_path):
    """Adam's first step is lr * sign(gradient) for every weight, whatever the gradient's size."""

    class TwoRates(TinyTask):
        def parameter_groups(self, lr):
            return [
                {"params": list(self.net[0].parameters()), "lr": lr},
                {"params": list(self.net[3:].parameters()), "lr": 10 * lr},
            ]

    task = TwoRates()
    before = {k: p.detach().clone() for k, p in task.trainable_state().items()}
    run(tmp_path, task, tiny_config(images=8, lr=1e-3, warmup=80, optimizer="adam"))  # one step, a tenth of the warm-up
    for name, p in task.trainable_state().items():
        moved = (p.detach() - before[name]).abs()
        assert moved.max() == pytest.approx(1e-4 if name.startswith("net.0") else 1e-3, rel=1e-3)


def test_progress_runs_from_zero_to_one(tmp_path):
    class Watched(TinyTask):
        def forward(self, progress, x, y):
            self.drawn.append(progress)
            return super().forward(progress, x, y)

        def draw(self, step, n, generator):
            assert step == len(self.drawn)
            x = torch.rand(n, 1, generator=generator)
            return x, x

    task = Watched()
    run(tmp_path, task, tiny_config(images=32))
    assert [float(p) for p in task.drawn] == [0.0, 0.25, 0.5, 0.75]
    assert all(p.shape == () for p in task.drawn)


@pytest.mark.parametrize(
    "options",
    [
        {"images": 0}, {"batch": 0}, {"lr": 0.0}, {"lr": -1.0}, {"lr": math.nan}, {"lr": math.inf},
        {"images_per_log": 0}, {"images_per_sample_grid": 0}, {"schedule": "linear"}, {"precision": "fp16"},
        {"compile": "maybe"}, {"optimizer": "sgd"},
        {"warmup": -1}, {"threads": -1}, {"clip": 0.0}, {"clip": math.nan}, {"lr_final": -0.1}, {"ema_halflife": -1},
        {"ema_rampup": -0.1}, {"beta2": 1.0}, {"minutes_per_checkpoint": math.nan},
    ],
    ids=repr,
)  # fmt: skip
def test_impossible_settings_are_refused(options):
    with refuses(next(iter(options)), error=Mistake):
        TrainingConfig(**options)


# --- numbers that go wrong -------------------------------------------------------------------------------------


class Ill(TinyTask):
    """The loss is `value` at the steps named."""

    def __init__(self, steps, value=math.nan):
        super().__init__()
        self.steps, self.value, self.step, self.weights = steps, value, -1, []

    def draw(self, step, n, generator):
        self.step = step
        return super().draw(step, n, generator)

    def forward(self, progress, x, y):
        self.weights.append(self.net[0].weight.detach().clone())
        parts = super().forward(progress, x, y)
        if self.step in self.steps:
            parts["loss"] = parts["loss"] * self.value
        return parts


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_bad_steps_are_skipped(tmp_path, value):
    task = Ill(range(5, 24), value)  # 19 in a row
    _, result = run(tmp_path, task)
    assert result.finished
    for step in range(39):
        stayed = torch.equal(task.weights[step], task.weights[step + 1])
        assert stayed == (step in task.steps)
    assert all(t.isfinite().all() for t in state(tmp_path).values())


def test_a_loss_that_stays_nan_ends_the_run_after_20_steps(tmp_path):
    task = Ill(range(5, 100))
    with pytest.raises(FloatingPointError, match="20.*fp32"):
        run(tmp_path, task, tiny_config(minutes_per_checkpoint=0.0))
    assert task.step == 24
    assert all(t.isfinite().all() for t in state(tmp_path).values())  # the last state is whole


class Miscompiled(TinyTask):
    """What it is compiled to gives NaN."""

    wrong_steps = 0

    def compile(self, *_, **__):
        def wrong(*drawn):
            self.wrong_steps += 1
            parts = self.forward(*drawn)
            return {**parts, "loss": parts["loss"] * math.nan}

        self._compiled_call_impl = wrong


def test_a_step_that_was_compiled_to_nan_goes_on_uncompiled(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("foundation.training.loop.can_compile", lambda choice, device: choice == "on")
    task, result = run(tmp_path, Miscompiled(), tiny_config(compile="on"))
    assert result.finished and task.wrong_steps == STEPS_BEFORE_UNCOMPILED and "compiled" in capsys.readouterr().out
    assert all(math.isfinite(row["loss"]) for row in curve(tmp_path))


def test_a_run_with_bad_steps_is_logged_by_its_good_ones(tmp_path):
    run(tmp_path, Ill([1, 20]))
    assert all(math.isfinite(row["loss"]) for row in curve(tmp_path))


def test_signals_are_given_back_after_an_error(tmp_path):
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(FloatingPointError):
        run(tmp_path, Ill(range(100)))
    assert signal.getsignal(signal.SIGINT) is handler


# --- devices, precision, workers -------------------------------------------------------------------------------


def test_bf16_and_fp32_runs_in_one_process(tmp_path):
    """The app trains small worlds one after another; each has its own precision."""
    for i, precision in enumerate(("bf16", "fp32", "bf16")):
        _, result = run(tmp_path / str(i), config=tiny_config(precision=precision))
        assert result.finished
        assert all(t.dtype == torch.float32 for t in result.ema.values())
        assert curve(tmp_path / str(i))[-1]["loss"] < 0.5 * curve(tmp_path / str(i))[0]["loss"]
    assert curve(tmp_path / "0") != curve(tmp_path / "1")


def test_fast_bf16_is_asked_of_the_hardware(monkeypatch):
    questions = "_is_amx_tile_supported", "_is_avx512_bf16_supported"
    for answers in itertools.product((True, False), repeat=2):
        for question, answer in zip(questions, answers, strict=True):
            monkeypatch.setattr(torch.cpu, question, lambda answer=answer: answer, raising=False)
        assert fast_bf16(torch.device("cpu")) == any(answers)
    assert not fast_bf16(torch.device("meta"))


def test_swapped_gives_the_weights_back_even_after_an_error():
    task = TinyTask()
    params = task.trainable_state()
    before = {k: p.detach().clone() for k, p in params.items()}
    with pytest.raises(RuntimeError, match="inside"), swapped(params, {k: p * 0 for k, p in before.items()}):
        assert all((p == 0).all() for p in params.values())
        raise RuntimeError("inside")
    assert all(torch.equal(p, before[k]) for k, p in params.items())


def test_two_workers_train_one_model(tmp_path):
    run_on_two(SCRIPT, str(tmp_path), "--fid")
    ranks = [json.loads((tmp_path / f"rank{r}.json").read_text()) for r in range(2)]
    assert [r["world"] for r in ranks] == ["2", "2"] and all(r["finished"] and r["images"] == 320 for r in ranks)
    assert ranks[0]["weights"] == ranks[1]["weights"] and ranks[0]["ema"] == ranks[1]["ema"]
    assert ranks[0]["drawn"] != ranks[1]["drawn"]  # each worker sees samples of its own
    rows = curve(tmp_path)
    assert rows[-1]["loss"] < 0.5 * rows[0]["loss"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fid.csv", "log.csv", "rank0.json", "rank1.json", STATE_FILE]
    with open(tmp_path / "fid.csv", newline="") as f:  # by one process alone
        assert [int(row["images"]) for row in csv.DictReader(f)] == [160, 320]
    saved = state(tmp_path)
    assert tiny.fingerprint(saved[f"model.{k}"] for k in TinyTask().trainable_state()) == ranks[0]["weights"]


# --- parts of a batch, draws ahead ----------------------------------------------------------------------------


class PlainTask(TinyTask):
    """Without dropout, which draws for every part of a batch anew."""

    def __init__(self) -> None:
        super().__init__()
        self.net[2].p = 0.0


def test_gradients_of_parts_add_up_to_those_of_the_batch(tmp_path):
    """One step of Adam's first moment is the clipped gradient; then whole runs."""
    states = {}
    for size in (0, 1, 2, 8):
        run(tmp_path / str(size), PlainTask(), tiny_config(images=8, optimizer="adam", microbatch=size))
        states[size] = state(tmp_path / str(size))
    moments = [k for k in states[0] if k.startswith("exp_avg.")]
    assert len(moments) == 6 and all(states[0][k].any() for k in moments)
    for k in moments:
        assert torch.equal(states[0][k], states[8][k])
        for size in (1, 2):
            torch.testing.assert_close(states[size][k], states[0][k], rtol=1e-4, atol=1e-7)
    run(tmp_path / "whole", PlainTask())
    run(tmp_path / "parts", PlainTask(), tiny_config(microbatch=2))
    for a, b in zip(curve(tmp_path / "whole"), curve(tmp_path / "parts"), strict=True):
        assert a == pytest.approx(b, rel=2e-2)


def test_parts_must_divide_the_batch_and_samples_be_drawn_one_by_one(tmp_path):
    with refuses("microbatch", " 3[.]", Mistake):
        run(tmp_path / "a", config=tiny_config(microbatch=3))
    with refuses("microbatch", error=Mistake):
        TrainingConfig(microbatch=-1)

    class Pairs(TinyTask):
        def draw(self, step, n, generator):
            return tuple(t[: n // 2] for t in super().draw(step, n, generator))

    with refuses("microbatch", error=Mistake):
        run(tmp_path / "b", Pairs(), tiny_config(microbatch=4))


def test_draws_ahead_are_the_same_run(whole, tmp_path):
    task, _ = run(tmp_path, config=tiny_config(prefetch="on"))
    assert_same_run(whole[0], tmp_path)
    assert len(task.drawn) == 40  # none too many


def test_a_mistake_in_a_draw_ahead_is_raised(tmp_path):
    class Broken(TinyTask):
        def draw(self, step, n, generator):
            if step == 3:
                raise ValueError("no more data")
            return super().draw(step, n, generator)

    with pytest.raises(ValueError, match="no more data"):
        run(tmp_path, Broken(), tiny_config(prefetch="on"))


def test_a_run_of_another_number_of_workers_goes_on_and_says_so(tmp_path, capsys):
    run(tmp_path, config=tiny_config(images=160))
    run(tmp_path, config=tiny_config(images=200), resume=True)
    assert not tells(capsys.readouterr().out, "workers")
    header = checkpoints.peek(tmp_path / STATE_FILE)
    checkpoints.save(tmp_path / STATE_FILE, state(tmp_path), kind=header.kind, config=header.config,
                     card=header.card | {"workers": 4})  # fmt: skip
    _, result = run(tmp_path, resume=True)
    assert result.finished and tells(capsys.readouterr().out, 1, "workers", 4)


def test_a_batch_that_cannot_be_shared_out_is_refused(tmp_path, monkeypatch):
    import accelerate

    monkeypatch.setattr(accelerate.Accelerator, "num_processes", property(lambda _: 3))
    with refuses("batch", "8 .* 3 ", Mistake):
        run(tmp_path)


class Ruler:
    """Stands for FID: the mean of a weight; `at` is what it saw, and it stops the run at a number of calls."""

    def __init__(self, task, stop_at=0):
        self.task, self.stop_at, self.seen = task, stop_at, []

    def __call__(self, stop):
        assert not self.task.training and not stop()
        self.seen.append(float(self.task.net[3].weight.detach().sum()))
        if len(self.seen) == self.stop_at:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
            assert stop()
            return None
        return {"fid": self.seen[-1], "pictures": 5}


def measured(out, resume=False, stop_at=0, **changes):
    task = TinyTask()
    ruler = Ruler(task, stop_at)
    config = tiny_config(images_per_fid=96, **changes)
    result = train(task, config, out, identity=IDENTITY, resume=resume, on_fid=ruler, quiet=True)
    rows = [r.split(",") for r in (out / "fid.csv").read_text().splitlines()[1:]]
    return task, result, ruler, [(int(r[0]), float(r[2]), int(r[3])) for r in rows]


def test_fid_is_measured_with_averaged_weights_and_changes_nothing(tmp_path):
    task, result, _, rows = measured(tmp_path / "with")
    assert [r[0] for r in rows] == [96, 192, 288, 320] and {r[2] for r in rows} == {5}
    assert rows[-1][1] == pytest.approx(float(result.ema["net.3.weight"].sum()), rel=1e-5)
    assert rows[-1][1] != pytest.approx(float(task.net[3].weight.detach().sum()), rel=1e-5)
    plain = TinyTask()
    train(plain, tiny_config(), tmp_path / "without", identity=IDENTITY, quiet=True)
    assert all(torch.equal(p, q) for p, q in zip(task.parameters(), plain.parameters(), strict=True))
    with refuses("images_per_fid", error=Mistake):
        train(TinyTask(), tiny_config(images_per_fid=96), tmp_path / "none", identity=IDENTITY, quiet=True)


def test_a_run_stopped_while_it_measured_gives_the_same_curve(tmp_path):
    whole = measured(tmp_path / "whole")[3]
    _, result, _, rows = measured(tmp_path / "twice", stop_at=2)
    assert not result.finished and result.images == 192 and rows == whole[:1]
    assert measured(tmp_path / "twice", resume=True)[3] == whole
    # at the end, too
    *_, rows = measured(tmp_path / "end", stop_at=4)
    assert rows == whole[:3]
    *_, ruler, rows = measured(tmp_path / "end", resume=True)
    assert rows == whole and len(ruler.seen) == 1
    assert len(measured(tmp_path / "end", resume=True)[2].seen) == 0  # nothing left to measure
