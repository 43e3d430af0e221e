"""What each training command does, from its settings file to the exported model."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict

import numpy as np
import torch

import foundation
from foundation.data.picture_data import DataConfig, save_grid, told_labels, training_pool
from foundation.files.settings import SettingsError, plain_sections, read_settings
from foundation.metrics.perceptual import PerceptualDistance
from foundation.networks.compiler import can_compile
from foundation.networks.devices import default_device
from foundation.networks.unet import DEPTHS, UNetConfig, count_parameters
from foundation.training.commands import PROGRAM_VERSION, device_sentence, report
from foundation.training.loop import TrainingConfig, train
from koopman_core.completions import CompletionConfig, Guess
from koopman_core.denoiser import Denoiser, open_teacher
from koopman_core.edm import EDM, SIGMA_MAX, heun_sample, karras_sigmas
from koopman_core.fid import fid_curve, student_pictures, teacher_pictures
from koopman_core.guidance import GuidanceConfig, Guided
from koopman_core.model import KoopmanConfig, KoopmanDiffusion, load_teacher, save_tensors
from koopman_core.model import load as load_student
from koopman_core.objective import StudentConfig, StudentTask
from koopman_core.teacher_task import TeacherConfig, TeacherTask
from koopman_core.trajectories import Trajectories, TrajectoryConfig, disk_bytes, fingerprint, write_trajectories


@dataclass(frozen=True)
class RunConfig:
    """Where a run goes.

    Attributes:
        out: its folder.
        name: of the exported model.
        compile: as in TrainingConfig.
        dtype: of the exported numbers, "float16" or "float32"; at the paper's size float16 moves D by 2e-3.
    """

    out: str = "runs/model"
    name: str = "model"
    compile: str = "auto"
    dtype: str = "float16"

    def __post_init__(self) -> None:
        if self.dtype not in ("float16", "float32"):
            raise ValueError(f"dtype must be float16 or float32, not {self.dtype!r}.")

    @property
    def torch_dtype(self) -> torch.dtype:
        return getattr(torch, self.dtype)


@dataclass(frozen=True)
class TeacherInput:
    """What a teacher is made from.

    Attributes:
        start: another teacher's checkpoint to continue from, "" for new weights.
        lpips: backbone file, "" to look it up, where `teacher.lpips_weight` asks for one.
    """

    start: str = ""
    lpips: str = ""


class TeacherSettings(TypedDict):
    """Sections of a teacher's settings file."""

    input: TeacherInput
    data: DataConfig
    network: UNetConfig
    teacher: TeacherConfig
    training: TrainingConfig
    run: RunConfig


def _history(card: dict) -> dict:
    """What a card says of a checkpoint that another run starts from; its own start is inside, so nothing is lost."""
    return {k: card[k] for k in ("name", "images_seen", "trajectories", "start") if k in card}


def run_teacher(config: Path, overrides: list[str], *, resume: bool, quiet: bool) -> int:
    """Train an EDM teacher."""
    s = read_settings(config, overrides, TeacherSettings)
    out = Path(s["run"].out)
    pictures, labels, about = training_pool(s["data"], out)
    torch.manual_seed(s["training"].seed)
    model, start = EDM(s["network"]), {}
    if s["input"].start:
        before = load_teacher(s["input"].start)
        if before.config != s["network"]:
            raise SettingsError("input.start is another network than the [network] section asks for.")
        model.load_state_dict(before.state_dict())
        start = _history(before.card)
    perceptual = PerceptualDistance(backbone=s["input"].lpips or None) if s["teacher"].lpips_weight else None
    task = TeacherTask(model, pictures, told_labels(labels, s["network"].classes), s["teacher"], perceptual)
    print(
        f"teacher: {count_parameters(model):,} parameters, {len(pictures):,} pictures, {device_sentence()}", flush=True
    )
    recipe = plain_sections(s, without=("input", "run"))
    recipe["data"]["spec"] = about["spec"]  # a path of this machine belongs in no card

    def export(ema: dict, images: int, seconds: float) -> None:
        model.card = {
            "name": f"{s['run'].name}-teacher", "kind": "EDM teacher", "data": about,
            "recipe": recipe, "version": PROGRAM_VERSION,
            "images_seen": images, "hours": round(seconds / 3600, 3), "device": device_sentence(),
            "parameters": count_parameters(model), "metrics": {}, **({"start": start} if start else {}),
        }  # fmt: skip
        state = {k.removeprefix("model."): v for k, v in ema.items()}
        save_tensors(model, state, out / "teacher.safetensors", s["run"].torch_dtype)

    def sample(images: int) -> None:
        model.eval()
        shape = (s["network"].channels, s["network"].resolution, s["network"].resolution)
        x = SIGMA_MAX * foundation.noise(range(32), shape).to(next(model.parameters()).device)
        n = s["network"].classes
        y = torch.arange(32, device=x.device) % n if n else None
        save_grid(
            out / "samples" / f"{images:09d}.png", heun_sample(lambda x, t: model(x, t, y), x, karras_sigmas(18)).x
        )

    measured = None
    if s["training"].images_per_fid:
        spec, count = s["data"].spec, s["training"].fid_count
        measured = fid_curve(lambda seeds: teacher_pictures(model, seeds), spec, s["data"].size, count)
    identity = {"network": s["network"].to_dict(), "task": "teacher"}
    result = train(
        task, s["training"], out, identity=identity, resume=resume, on_checkpoint=export, on_sample=sample,
        on_fid=measured, quiet=quiet,
    )  # fmt: skip
    report("teacher", result)
    return 0


@dataclass(frozen=True)
class TeacherFile:
    """Attributes: checkpoint, as `koopman_core.denoiser.open_teacher` reads it."""

    checkpoint: str = "runs/teacher/teacher.safetensors"


class TrajectorySettings(TypedDict):
    """Sections of a settings file for trajectories."""

    teacher: TeacherFile
    guidance: GuidanceConfig
    completion: CompletionConfig
    trajectories: TrajectoryConfig
    run: RunConfig


def run_trajectories(config: Path, overrides: list[str], *, resume: bool, quiet: bool) -> int:
    """Make trajectories; runs as several workers under `accelerate launch`. What is there is always kept."""
    from accelerate import PartialState
    from tqdm import tqdm

    s = read_settings(config, overrides, TrajectorySettings)
    cuda = default_device().type == "cuda"
    state = PartialState(cpu=not cuda)
    teacher = _on(open_teacher(s["teacher"].checkpoint), state.device)
    out, t = Path(s["run"].out), s["trajectories"]
    if teacher.classes and t.unlabelled and "origin" in _card(teacher):
        raise SettingsError(
            "This imported teacher was always given a class: set trajectories.unlabelled=0, or that share of its "
            "pictures is spoilt."
        )
    need, free = disk_bytes(t, teacher.picture_shape), shutil.disk_usage(_existing(out)).free
    if state.is_main_process:
        print(
            f"trajectories: {t.count:,} of {t.steps} steps need {need / 1e9:.1f} GB; {free / 1e9:.1f} GB are free",
            flush=True,
        )
    there = sum(f.stat().st_size for f in out.glob("*.npy")) if out.exists() else 0
    if need - there > free:
        raise SettingsError(
            f"Not enough disk for {need / 1e9:.1f} GB: lower trajectories.count or set run.out to another disk."
        )
    guided = None
    if s["guidance"].scale != 1:
        guide = _on(open_teacher(s["guidance"].guide), state.device) if s["guidance"].guide else None
        guided = Guided(teacher, s["guidance"], guide)
    guess = None
    if s["completion"].student:
        guess = Guess(load_student(s["completion"].student).to(state.device), s["completion"].level, teacher)
    if can_compile(s["run"].compile) and not cuda and isinstance(teacher, torch.nn.Module):
        teacher.compile()
    mine = -(-t.count // state.num_processes)
    with tqdm(total=mine, unit="traj", disable=quiet or not state.is_main_process, mininterval=5.0) as bar:
        made = write_trajectories(
            teacher, t, out, guided=guided, guess=guess, worker=state.process_index, workers=state.num_processes,
            progress=lambda done, count: bar.update(t.batch),
        )  # fmt: skip
    print(f"trajectories: worker {state.process_index} made {made:,}")
    return 0


def _on(teacher: Denoiser, device: torch.device) -> Denoiser:
    return teacher.to(device) if isinstance(teacher, torch.nn.Module) else teacher


def _card(teacher: Denoiser) -> dict:
    return getattr(teacher, "card", {})


def _existing(path: Path) -> Path:
    """The nearest folder that is there."""
    path = path.resolve()
    return path if path.exists() else _existing(path.parent)


@dataclass(frozen=True)
class StudentInput:
    """What a student is made from.

    Attributes:
        trajectories: their folder.
        teacher: what made them, as `koopman_core.denoiser.open_teacher` reads it. Of any but an EDM teacher the student
            has no weights: it starts from nothing, with the [network] section.
        lpips: backbone file, "" to look it up.
        start: another student's checkpoint to continue from, "" for the teacher.
        operator: a student's checkpoint whose eigenvalues alone the run begins with, "" for those of the start.
        dropout: of the student. 0 whatever the teacher was trained with: its targets are fixed, and there are no
            more pictures to learn by heart than trajectories were made.
        encoder_depth, decoder_depth: further blocks of a student of an EDM teacher (`UNetConfig`), () for as many as
            the teacher has. A start that has fewer is made deeper.
        fid_data: the pictures that `training.images_per_fid` compares with, as
            `foundation.data.datasets.open_dataset` reads them; "" for those that the teacher's card names.
    """

    trajectories: str = "runs/trajectories"
    teacher: str = "runs/teacher/teacher.safetensors"
    lpips: str = ""
    start: str = ""
    operator: str = ""
    dropout: float = 0.0
    encoder_depth: tuple[int, ...] = ()
    decoder_depth: tuple[int, ...] = ()
    fid_data: str = ""


class StudentSettings(TypedDict):
    """Sections of a student's settings file."""

    input: StudentInput
    network: UNetConfig
    koopman: KoopmanConfig
    student: StudentConfig
    training: TrainingConfig
    run: RunConfig


def _student_network(teacher: Denoiser, network: UNetConfig, given: StudentInput) -> UNetConfig:
    """The student's network: an EDM teacher's, deeper if so asked, else the settings', which must fit its pictures.

    Raises:
        SettingsError: a network is given beside an EDM teacher's, or it does not fit.
    """
    if isinstance(teacher, EDM):
        if network != UNetConfig():
            raise SettingsError("The student has its teacher's network: leave the section network out.")
        depths = {name: getattr(given, name) or getattr(teacher.config, name) for name in DEPTHS}
        return replace(teacher.config, dropout=given.dropout, **depths)
    shape = (network.channels, network.resolution, network.resolution)
    if (shape, network.classes) != (teacher.picture_shape, teacher.classes):
        raise SettingsError(
            f"The teacher's pictures are {teacher.picture_shape} with {teacher.classes} classes, and its weights do "
            "not fit our network: describe one for them in the section network."
        )
    return replace(network, dropout=given.dropout)


def take_operators(model: KoopmanDiffusion, source: KoopmanDiffusion) -> None:
    """Give a student the eigenvalues of another one, which share no storage.

    Raises:
        SettingsError: their levels differ.
    """
    if model.config.skip_shapes() != source.config.skip_shapes() or model.koopman.evolved != source.koopman.evolved:
        raise SettingsError("input.operator has other levels than this run's network: give one of the same teacher's.")
    with torch.no_grad():
        for operator, known in zip(model.operators, source.operators, strict=True):
            operator.a.copy_(known.a)


def run_student(config: Path, overrides: list[str], *, resume: bool, quiet: bool) -> int:
    """Train an HKD student from its teacher's weights and stored trajectories."""
    s = read_settings(config, overrides, StudentSettings)
    out, c = Path(s["run"].out), s["student"]
    if s["training"].microbatch and (c.nested_swapped or c.noised_swapped):
        raise SettingsError(
            "training.microbatch would part the pictures whose bands are exchanged: leave it at 0, or set "
            "student.nested_swapped=0 and student.noised_swapped=0.", "microbatch"
        )  # fmt: skip
    teacher = open_teacher(s["input"].teacher)
    network = _student_network(teacher, s["network"], s["input"])
    data = Trajectories(s["input"].trajectories)
    if data.teacher != fingerprint(teacher):
        raise SettingsError("input.teacher did not make these trajectories: give the checkpoint that did.")
    start = {}
    if s["input"].start:
        before = load_student(s["input"].start)
        start = _history(before.card)
        model = KoopmanDiffusion(network, s["koopman"])
        try:
            model.take(before)
        except ValueError:
            raise SettingsError(
                "input.start is another network, or has another [koopman] section, than this run asks for."
            ) from None
    elif isinstance(teacher, EDM):
        model = KoopmanDiffusion(network, s["koopman"])
        model.net.take(teacher.net)
    else:
        torch.manual_seed(s["training"].seed)
        model = KoopmanDiffusion(network, s["koopman"])
        print("student: the teacher's network is another one; it starts from random weights", flush=True)
    if s["input"].operator:
        take_operators(model, load_student(s["input"].operator))
    perceptual = None
    if c.lambda2 > 0:
        perceptual = PerceptualDistance(c.lpips_net, backbone=s["input"].lpips or None, side=c.lpips_side)
    task = StudentTask(model, data, perceptual, c)
    print(
        f"student: {count_parameters(model.net):,} parameters + {count_parameters(model.operators):,} in A, "
        f"{len(data):,} trajectories, {device_sentence()}", flush=True,
    )  # fmt: skip
    recipe = plain_sections(s, without=("input", "network", "run"))
    about = _card(teacher)
    teacher_name = about.get("name", "teacher").removesuffix("-teacher")
    inherited = {k: about[k] for k in ("licence", "origin") if k in about}  # its weights are in the student
    follows = (
        "the Koopman path follows the teacher's denoised states" if c.objective == "path" else "the paper's objective"
    )
    summary = f"HKD on {about.get('data', {}).get('name', 'pictures')}, objective {c.objective}: {follows}"

    about_trajectories: dict[str, object] = {
        "count": len(data), "steps": len(data.sigmas), "seed": data.index["config"]["seed"],
    }  # fmt: skip
    about_trajectories |= {k: data.index[k] for k in ("guidance", "completion") if k in data.index}

    def export(ema: dict, images: int, seconds: float) -> None:
        names = {k for k, _ in model.named_parameters()}
        state = {k.removeprefix("model."): v for k, v in ema.items() if k.startswith("model.")}
        state |= {k: v for k, v in model.state_dict().items() if k in names - state.keys()}  # frozen operators
        model.card = {
            "name": s["run"].name, "summary": summary, "kind": "HKD student",
            "teacher": teacher_name, "data": about.get("data", {}), **inherited,
            "recipe": recipe, "trajectories": about_trajectories, "version": PROGRAM_VERSION,
            "images_seen": images, "hours": round(seconds / 3600, 3), "device": device_sentence(),
            "parameters": count_parameters(model), "metrics": {}, **({"start": start} if start else {}),
        }  # fmt: skip
        save_tensors(model, state, out / "student.safetensors", s["run"].torch_dtype)

    shape = model.picture_shape
    rows = np.arange(min(16, len(data)))

    def sample(images: int) -> None:
        model.eval()
        x = foundation.noise([data.index["config"]["seed"] + int(r) for r in rows], shape)
        device = next(model.parameters()).device
        mine = model.one_step(x.to(device), data.labels(rows).to(device)).cpu()
        save_grid(out / "samples" / f"{images:09d}.png", torch.cat([data.finals(rows), mine]), columns=16)

    measured = None
    if s["training"].images_per_fid:
        spec, count = s["input"].fid_data or about.get("data", {}).get("spec"), s["training"].fid_count
        measured = fid_curve(lambda seeds: student_pictures(model, seeds), spec, model.config.resolution, count)
    identity = {"network": model.config.to_dict(), "koopman": model.koopman.to_dict(), "task": f"student-{c.objective}"}
    result = train(
        task, s["training"], out, identity=identity, resume=resume, on_checkpoint=export, on_sample=sample,
        on_fid=measured, quiet=quiet,
    )  # fmt: skip
    report("student", result)
    return 0


STAGES = {"teacher": run_teacher, "trajectories": run_trajectories, "student": run_student}
