"""The training loop of every model here, on Hugging Face accelerate.

A `Task` says what is drawn for one step and what the loss is; `train` does the rest: EMA, warm-up and
schedule, clipping, precision, log, samples, atomic checkpoints, exact resume. Everything random in a step comes
from a generator seeded by (seed, step, worker), so a run that was killed and resumed repeats the run that was
not.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from foundation.files import checkpoints
from foundation.mistakes import Mistake
from foundation.networks.compiler import can_compile
from foundation.networks.devices import default_device
from foundation.randomness import mix_seed
from foundation.training.optimizers import fast_bf16, make_optimizers
from foundation.training.run_log import RunLog
from foundation.training.stopping import StopRequest

STATE_FILE = "state.safetensors"


@dataclass(frozen=True)
class TrainingConfig:
    """Counts are in samples ("images"), so that they do not depend on batch size or number of workers.

    Attributes:
        images: samples to see in all.
        batch: samples a step over all workers.
        microbatch: samples that one worker takes at a time, 0 for its whole share of the batch. Gradients add up to
            those of the whole share where the loss is a mean over samples, in less memory.
        lr: peak learning rate; operator parameters may have their own (`Task.parameter_groups`).
        warmup: samples of linear warm-up.
        schedule: "cosine" to `lr_final` * lr, "constant", or "decay" (0.95 for each twentieth of the run).
        optimizer: "muon" (weight matrices by Muon, the rest by Adam) or "adam" (the papers').
        ema_halflife: samples; shortened to `images_seen * ema_rampup` early on (EDM).
        clip: largest gradient norm.
        precision: "auto" (bf16 where the hardware is fast at it, else fp32), "bf16", "fp32".
        compile: "auto" (torch.compile where it works, which is tried), "on", "off".
        prefetch: "auto" (where there is a GPU to keep busy), "on", "off": draw the next step in a thread.
        minutes_per_checkpoint, images_per_sample_grid, images_per_log: how often.
        images_per_fid: samples between two measurements of FID, 0 for none; where the training can measure it.
        fid_count: pictures of each; figures compare at equal counts only.
        threads: CPU threads, 0 for torch's default.
    """

    images: int = 1_000_000
    batch: int = 64
    microbatch: int = 0
    lr: float = 1e-3
    lr_final: float = 0.01
    warmup: int = 10_000
    schedule: str = "cosine"
    optimizer: str = "muon"
    beta2: float = 0.99
    ema_halflife: int = 20_000
    ema_rampup: float = 0.05
    clip: float = 1.0
    precision: str = "auto"
    compile: str = "auto"
    prefetch: str = "auto"
    minutes_per_checkpoint: float = 3.0
    images_per_sample_grid: int = 50_000
    images_per_log: int = 2_000
    images_per_fid: int = 0
    fid_count: int = 10_000
    seed: int = 0
    threads: int = 0

    def __post_init__(self) -> None:
        for name, allowed in {
            "schedule": ("cosine", "constant", "decay"),
            "optimizer": ("muon", "adam"),
            "precision": ("auto", "bf16", "fp32"),
            "compile": ("auto", "on", "off"),
            "prefetch": ("auto", "on", "off"),
        }.items():
            if getattr(self, name) not in allowed:
                raise Mistake(f"{name} must be one of {', '.join(allowed)}, not {getattr(self, name)!r}.", name)
        for name in ("images", "batch", "lr", "clip", "images_per_log", "images_per_sample_grid"):
            if not 0 < getattr(self, name) < math.inf:
                raise Mistake(f"{name} must be positive, not {getattr(self, name)!r}.", name)
        for name in (
            "microbatch",
            "lr_final",
            "warmup",
            "ema_halflife",
            "ema_rampup",
            "minutes_per_checkpoint",
            "images_per_fid",
            "threads",
        ):
            if not 0 <= getattr(self, name) < math.inf:
                raise Mistake(f"{name} cannot be negative, not {getattr(self, name)!r}.", name)
        if not 0 <= self.beta2 < 1:
            raise Mistake(f"beta2 must lie in [0, 1), not {self.beta2!r}.", "beta2")
        if self.fid_count < 2:
            raise Mistake(f"fid_count must be at least 2, not {self.fid_count!r}.", "fid_count")

    def lr_factor(self, seen: float) -> float:
        """Factor on every learning rate after `seen` samples."""
        progress = min(seen / self.images, 1.0)
        ramp = min(1.0, (seen + self.batch) / self.warmup) if self.warmup else 1.0
        if self.schedule == "cosine":
            return ramp * (self.lr_final + (1 - self.lr_final) * 0.5 * (1 + math.cos(math.pi * progress)))
        return ramp * (0.95 ** math.floor(20 * progress) if self.schedule == "decay" else 1.0)


class Task(nn.Module):
    """What is trained. `forward` gets what `draw` returned and must hold every trainable parameter.

    Attributes:
        compilable: whether torch.compile understands what `forward` does.
    """

    compilable = True

    def draw(self, step: int, n: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Everything random of one step for `n` samples, on the CPU, from `generator` alone."""
        raise NotImplementedError

    def forward(self, progress: Tensor, *drawn: Tensor) -> dict[str, Tensor]:
        """progress: 0-dim tensor in [0, 1]. Returns scalars, one of them "loss"."""
        raise NotImplementedError

    def parameter_groups(self, lr: float) -> list[dict]:
        """Groups for the optimizer: "params", a list, and "lr"."""
        return [{"params": [p for p in self.parameters() if p.requires_grad], "lr": lr}]

    def trainable_state(self) -> dict[str, Tensor]:
        """Name -> parameter of everything that is trained: what the state and the EMA hold."""
        return {k: p for k, p in self.named_parameters() if p.requires_grad}


@dataclass(frozen=True)
class TrainingResult:
    """What a run ended with.

    Attributes:
        images: samples seen.
        seconds: of training, over all resumes.
        finished: whether it ran to its end.
        ema: averaged weights by name.
    """

    images: int
    seconds: float
    finished: bool
    ema: dict[str, Tensor]


class _Draws:
    """What a task draws, step by step; the next step meanwhile, in a thread, if asked to.

    What is drawn depends on the step alone, so a thread changes nothing but the time.
    """

    def __init__(self, draw: Callable[[int], tuple[Tensor, ...]], ahead: bool):
        self.draw = draw
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="draws") if ahead else None
        self.coming: tuple[int, Future[tuple[Tensor, ...]]] | None = None

    def take(self, step: int, more: bool) -> tuple[Tensor, ...]:
        """The tensors of a step; `more` says whether another one follows."""
        coming = self.coming
        drawn = coming[1].result() if coming is not None and coming[0] == step else self.draw(step)
        if self.pool is not None and more:
            self.coming = step + 1, self.pool.submit(self.draw, step + 1)
        return drawn

    def close(self) -> None:
        if self.pool is not None:
            self.pool.shutdown(cancel_futures=True)


def _chunks(drawn: tuple[Tensor, ...], share: int, size: int) -> list[tuple[Tensor, ...]]:
    """A worker's share of the batch in parts of `size` samples."""
    if size == share:
        return [drawn]
    if any(t.ndim == 0 or len(t) != share for t in drawn):
        raise Mistake("This task's samples are not drawn one by one: leave training.microbatch at 0.", "microbatch")
    return list(zip(*(t.split(size) for t in drawn), strict=True))


def _flat(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{k}": v for k, v in tensors.items()}


STEPS_BEFORE_UNCOMPILED = 5  # without a finite gradient
RANK_TIMEOUT = timedelta(hours=6)
MOMENTS = ("exp_avg", "exp_avg_sq", "step")  # Adam's; Muon keeps the first alone


def _save_state(path, params, ema, optimizers, card, identity) -> None:
    moments = {}
    for name, p in params.items():
        for key, value in _owner(p, optimizers).state.get(p, {}).items():
            moments[f"{key}.{name}"] = value.float() if value.is_floating_point() else value
    tensors = _flat("model", params) | _flat("ema", ema) | moments
    checkpoints.save(path, tensors, kind="training-state", config=identity, card=card)


def _owner(p: Tensor, optimizers) -> torch.optim.Optimizer:
    return next(o for o in optimizers if any(p is q for g in o.param_groups for q in g["params"]))


def _load_state(path, params, ema, optimizers, identity) -> dict:
    """Fills weights, EMA and moments; returns the card. Moments that another optimizer kept start anew."""
    limit = 10 * checkpoints.MAX_PARAMETERS  # weights, EMA and two moments of the largest network
    header = checkpoints.peek(path, max_parameters=limit)
    if header.config != identity:
        raise checkpoints.CheckpointError(
            f"{path} was written by a run with another network or task: choose another --out, or delete it.", "out"
        )
    tensors = checkpoints.load_tensors(path, kind="training-state", max_parameters=limit)
    whole = all(isinstance(header.card.get(key), int | float) for key in ("images", "seconds"))
    for name, p in params.items():
        whole &= all(f"{part}.{name}" in tensors for part in ("model", "ema"))
        parts = [tensors.get(f"{part}.{name}", p) for part in ("model", "ema", *MOMENTS[:2])]
        whole &= all(t.shape == p.shape for t in parts)
    if not whole:
        raise checkpoints.CheckpointError(f"{path} does not hold a whole state of this run: delete it.", "state")
    with torch.no_grad():
        for name, p in params.items():
            p.copy_(tensors[f"model.{name}"])
            ema[name].copy_(tensors[f"ema.{name}"])
            optimizer = _owner(p, optimizers)
            keys = MOMENTS if isinstance(optimizer, torch.optim.Adam) else MOMENTS[:1]
            if all(f"{key}.{name}" in tensors for key in keys):
                moments = {key: tensors[f"{key}.{name}"] for key in keys}
                optimizer.state[p] = {k: v if k == "step" else v.to(p.device) for k, v in moments.items()}
    return header.card


def train(
    task: Task,
    config: TrainingConfig,
    out: str | Path,
    *,
    identity: dict,
    resume: bool = False,
    on_checkpoint: Callable[[dict[str, Tensor], int, float], None] | None = None,
    on_sample: Callable[[int], None] | None = None,
    on_fid: Callable[[Callable[[], bool]], dict[str, float] | None] | None = None,
    quiet: bool = False,
) -> TrainingResult:
    """Train until `config.images` samples are seen, or SIGINT or SIGTERM (see `StopRequest`).

    Args:
        task: network and loss.
        out: folder for `state.safetensors` (full state), `log.csv`, `fid.csv`, and what the callbacks write.
        identity: plain dict naming network and task; a resume with another one is refused.
        resume: continue from `out` when a state is there; without it a folder that holds a run is refused.
        on_checkpoint: called with (ema weights, images, seconds) at every checkpoint, main process only.
        on_sample: called with (images) while the task holds its EMA weights, main process only.
        on_fid: called every `images_per_fid` as `on_sample` is, in eval mode, with a function that says whether to
            stop; returns a row of fid.csv, or None when it stopped: then the resumed run measures first.

    Returns:
        TrainingResult.

    Raises:
        CheckpointError: the state in `out` belongs to another run.
        ValueError: a batch that cannot be shared out, or FID asked of a training that does not measure it.
        FloatingPointError: the loss stayed NaN or infinite for 20 steps.
    """
    from accelerate import Accelerator, InitProcessGroupKwargs

    if config.images_per_fid and on_fid is None:
        raise Mistake("This training measures no FID: leave training.images_per_fid at 0.", "images_per_fid")
    bf16 = config.precision == "bf16" or (config.precision == "auto" and fast_bf16(default_device()))
    if config.threads:
        torch.set_num_threads(config.threads)
    # Precision is ours (bf16 needs no loss scaling): an Accelerator's own holds for the whole process, and the app
    # trains one small world after another.
    # The other workers wait while process 0 measures, longer than the ten minutes after which they would give up.
    patience = [InitProcessGroupKwargs(timeout=RANK_TIMEOUT)] if config.images_per_fid else []
    accelerator = Accelerator(mixed_precision="no", cpu=default_device().type == "cpu", kwargs_handlers=patience)
    rank, world, device = accelerator.process_index, accelerator.num_processes, accelerator.device
    if config.batch % world:
        raise Mistake(f"batch {config.batch} must be a multiple of the {world} workers.", "batch")
    share = config.batch // world
    size = config.microbatch or share
    if share % size:
        raise Mistake(
            f"a worker's share of the batch, {share}, must be a multiple of microbatch, {size}.", "microbatch"
        )
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)

    torch.manual_seed(mix_seed(config.seed, 1))
    if device.type == "cuda":  # on CPU GroupNorm is several times faster on contiguous NCHW
        # torch's stub of Module.to lacks this keyword, which its documentation has
        task = task.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizers = make_optimizers(task.parameter_groups(config.lr), config.optimizer, config.beta2)
    groups = [g for o in optimizers for g in o.param_groups]
    base_lr = [g["lr"] for g in groups]
    if task.compilable and can_compile(config.compile, device.type):
        task.compile()  # in place and before DDP wraps it: names stay, and the graph has no hooks in it
    model = accelerator.prepare(task)
    params = task.trainable_state()
    ema = {k: p.detach().clone() for k, p in params.items()}
    card: dict = {"images": 0, "seconds": 0.0}
    if not resume and (out / STATE_FILE).exists():
        raise checkpoints.CheckpointError(
            f"{out} already holds a run: add --resume to go on with it, set run.out to another folder, or delete it."
        )
    if resume and (out / STATE_FILE).exists():
        card = _load_state(out / STATE_FILE, params, ema, optimizers, identity)
        if card.get("workers", world) != world and accelerator.is_main_process:
            print(f"resumed by {world} workers after {card['workers']}: the run goes on with other draws", flush=True)
    images, seconds = int(card["images"]), float(card["seconds"])
    # the unfinished interval of the log: a resumed run writes the rows that the uninterrupted one writes
    sums, n_sums = {k: torch.tensor(v, device=device) for k, v in card.get("sums", {}).items()}, card.get("n_sums", 0)
    bad, good_norm = 0, 0.0
    main = accelerator.is_main_process
    log = RunLog(out / "log.csv", images) if main else None
    fid_log = RunLog(out / "fid.csv", images) if main and config.images_per_fid else None
    bar = tqdm(total=config.images, initial=images, unit="img", disable=quiet or not main, mininterval=5.0)
    started = last_saved = time.monotonic()

    def elapsed() -> float:
        return seconds + time.monotonic() - started

    def save() -> None:
        if main:
            card = {"images": images, "seconds": elapsed(), "training": asdict(config), "workers": world}
            card |= {"sums": {k: float(v) for k, v in sums.items()}, "n_sums": n_sums}
            _save_state(out / STATE_FILE, params, ema, optimizers, card, identity)

    def checkpoint() -> None:
        save()
        if main and on_checkpoint is not None:
            on_checkpoint({k: v.clone() for k, v in ema.items()}, images, elapsed())

    def measure(stop: StopRequest) -> None:
        if on_fid is None or fid_log is None:  # never when it is due
            return
        with swapped(params, ema):
            task.eval()
            row = on_fid(lambda: stop.asked)
        model.train()
        if row is not None:
            fid_log.write({"images": images, "seconds": elapsed(), **row})

    def fid_is_due(before: int) -> bool:
        every = config.images_per_fid
        return fid_log is not None and images > before and _passed(every, before, images, config.images)

    def draw(step: int) -> tuple[Tensor, ...]:
        drawn = task.draw(step, share, torch.Generator().manual_seed(mix_seed(config.seed, 2, step, rank)))
        return tuple(t.pin_memory() for t in drawn) if device.type == "cuda" else drawn

    draws = _Draws(draw, config.prefetch == "on" or (config.prefetch == "auto" and device.type == "cuda"))
    model.train()
    with contextlib.closing(draws), StopRequest(save, launched=world > 1) as stop:
        if fid_log is not None and images and fid_is_due(images - config.batch) and fid_log.last < images:
            with stop.updating:
                measure(stop)
        while images < config.images and not _any(stop.asked, accelerator):
            step = images // config.batch
            torch.manual_seed(mix_seed(config.seed, 3, step, rank))  # dropout
            drawn = draws.take(step, images + config.batch < config.images)
            drawn = tuple(t.to(device, non_blocking=True) for t in drawn)
            for group, lr in zip(groups, base_lr, strict=True):
                group["lr"] = lr * config.lr_factor(images)
            progress = torch.tensor(images / config.images, dtype=torch.float32, device=device)
            parts: dict[str, Tensor] = {}
            chunks = _chunks(drawn, share, size)
            for i, chunk in enumerate(chunks):
                # the workers' gradients are averaged once, with the last part
                alone = accelerator.no_sync(model) if i < len(chunks) - 1 else contextlib.nullcontext()
                with alone:
                    with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                        of_chunk = model(progress, *chunk)
                    accelerator.backward(of_chunk["loss"] / len(chunks))
                parts = {k: parts.get(k, 0) + v.detach() / len(chunks) for k, v in of_chunk.items()}
            norm = accelerator.clip_grad_norm_(list(params.values()), config.clip)
            with stop.updating:
                if bool(torch.isfinite(norm)):
                    for optimizer in optimizers:
                        optimizer.step()
                    bad, good_norm = 0, norm
                    sums = {k: sums.get(k, 0) + v.float() for k, v in parts.items()}
                    n_sums += 1
                else:  # skip the step, keep the run; give up when it does not recover
                    bad += 1
                    if bad == STEPS_BEFORE_UNCOMPILED and task._compiled_call_impl is not None:
                        # torch 2.13 compiled a student's step, in bf16 on a CPU, to one whose gradients are NaN
                        task._compiled_call_impl = None
                        if main:
                            print("the compiled step gives numbers that are not finite: on without it", flush=True)
                    if bad >= 20:
                        raise FloatingPointError(
                            "The loss has been NaN or infinite for 20 steps: lower lr, or use "
                            "--training.precision=fp32."
                        )
                model.zero_grad(set_to_none=True)
                before, images = images, images + config.batch
                halflife = max(min(config.ema_halflife, images * config.ema_rampup), 1e-8)
                torch._foreach_lerp_(
                    list(ema.values()), [p.detach() for p in params.values()], 1 - 0.5 ** (config.batch / halflife)
                )
                bar.update(config.batch)
                if n_sums and _passed(config.images_per_log, before, images, config.images):
                    row = {k: float(v) / n_sums for k, v in sums.items()}
                    sums, n_sums = {}, 0
                    if log is not None:
                        log.write({"images": images, "seconds": elapsed(), **row, "grad_norm": float(good_norm)})
                        bar.set_postfix_str(f"loss {row['loss']:.4g}")
                sampling = _passed(config.images_per_sample_grid, before, images, config.images)
                if main and on_sample is not None and sampling:
                    with swapped(params, ema):
                        on_sample(images)
                    model.train()
                measuring = fid_is_due(before)
                if measuring or time.monotonic() - last_saved > 60 * config.minutes_per_checkpoint:
                    checkpoint()
                    last_saved = time.monotonic()
                if measuring:  # the state is safe: killed meanwhile, the run measures again and goes on
                    measure(stop)
        with stop.updating:
            checkpoint()
    bar.close()
    accelerator.wait_for_everyone()
    return TrainingResult(images, elapsed(), images >= config.images, ema)


def _passed(every: int, before: int, images: int, end: int) -> bool:
    return images // every > before // every or images >= end


def _any(flag: bool, accelerator) -> bool:
    """Whether any worker was asked to stop: all must leave the loop at the same step."""
    if accelerator.num_processes == 1:
        return flag
    return bool(accelerator.reduce(torch.tensor(float(flag), device=accelerator.device), "sum") > 0)


class swapped:
    """Context: the parameters hold other values (the EMA), and their own again afterwards."""

    def __init__(self, params: dict[str, Tensor], values: dict[str, Tensor]):
        self.params, self.values = params, values

    def __enter__(self):
        self.kept = {k: p.detach().clone() for k, p in self.params.items()}
        self._set(self.values)

    def _set(self, values) -> None:
        with torch.no_grad():
            for k, p in self.params.items():
                p.copy_(values[k])

    def __exit__(self, *_):
        self._set(self.kept)
