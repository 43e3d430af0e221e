"""A model, its teacher and a flow of the same pictures, from one noise, at equal numbers of calls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.core.errors import UserError
from analysis.core.fields import Label, Request, Seed
from analysis.core.progress import Report, part
from analysis.flow.images import IMAGE_PATH_NAMES, FlowPicturesRequest, ImageFlows
from analysis.workbench.images import GenerateRequest
from analysis.workbench.walks import FewCallsRequest
from analysis.workbench.workbench import Workbench

RACE_CALLS = (1, 5, 35)
HEUN_FROM = 9  # calls; of fewer Heun's method makes too few steps
REPEATS = 3  # of the one call, of which the fastest is told


@dataclass(frozen=True)
class RaceRequest(Request):
    """Three ways from one noise to a picture.

    Attributes:
        seed, label: which noise.
        path: of the flow, one of `flow_paths`; "" or another for the first of them.
    """

    seed: Seed
    label: Label = -1
    path: str = ""


@dataclass(frozen=True, eq=False)
class Runner:
    """Who runs.

    Attributes:
        title, note: who it is.
        calls: (n,) of `RACE_CALLS`, those that it makes.
        pictures: (n, H, W, 3).
        seconds: (n,) of each picture.
        absent: why it does not run, "" where it does.
    """

    title: str
    note: str
    calls: tuple[int, ...]
    pictures: np.ndarray
    seconds: np.ndarray
    absent: str = ""


@dataclass(frozen=True, eq=False)
class RaceResult:
    """Attributes: model, teacher, flow: the runners; flow_path: of the flow, "" without one."""

    model: Runner
    teacher: Runner
    flow: Runner
    flow_path: str

    @property
    def runners(self) -> tuple[Runner, ...]:
        """All of them."""
        return self.model, self.teacher, self.flow


def flow_paths(bench: Workbench, images: ImageFlows) -> tuple[str, ...]:
    """The paths of the flows that are here of a model's pictures."""
    name = data_name(bench)
    return next((k.paths for k in images.kinds if k.data == name), ())


def race(bench: Workbench, images: ImageFlows, request: RaceRequest, report: Report | None = None) -> RaceResult:
    """The pictures of all, and how long they took.

    Args:
        bench: of the model.
        images: the flows.
        request: which noise.
        report: called with (share done, what); may raise to cancel.
    """
    found = flow_paths(bench, images)
    path = request.path if request.path in found else next(iter(found), "")
    return RaceResult(
        _model(bench, request), _teacher(bench, request, part(report, 0, 0.6)),
        _flow(bench, images, request, path, part(report, 0.6, 1)), path,
    )  # fmt: skip


def data_name(bench: Workbench) -> str:
    """What the model's pictures are called, "" where its card does not say."""
    data = bench.model.card.get("data")
    return str(data.get("name", "")) if isinstance(data, dict) else ""


def _absent(bench: Workbench, title: str, why: str, note: str = "") -> Runner:
    side = bench.model.config.resolution
    return Runner(title, note, (), np.zeros((0, side, side, 3), np.uint8), np.zeros(0), why)


def _model(bench: Workbench, request: RaceRequest) -> Runner:
    results = [bench.generate(GenerateRequest((request.seed,), request.label)) for _ in range(REPEATS)]
    return Runner(
        "This model", bench.name, (1,), results[0].pictures, np.array([min(r.seconds for r in results)])
    )  # fmt: skip


def _teacher(bench: Workbench, request: RaceRequest, report: Report | None) -> Runner:
    if bench.teacher is None:
        return _absent(bench, "Teacher", "This model has no teacher here.")
    few, many = tuple(n for n in RACE_CALLS if n < HEUN_FROM), tuple(n for n in RACE_CALLS if n >= HEUN_FROM)
    made = [
        bench.few_calls(FewCallsRequest(request.seed, request.label, calls, method), part(report, k / 2, (k + 1) / 2))
        for k, (calls, method) in enumerate(((few, "euler"), (many, "heun")))
    ]
    return Runner(
        "Teacher", f"Euler, from {HEUN_FROM} calls on Heun", tuple(int(n) for r in made for n in r.calls),
        np.concatenate([r.pictures for r in made]), np.concatenate([r.seconds for r in made]),
    )  # fmt: skip


def _flow(bench: Workbench, images: ImageFlows, request: RaceRequest, path: str, report: Report | None) -> Runner:
    if not path:
        why = "No flow of these pictures is here: train one with flow_core.train images."
        return _absent(bench, "Flow", why)
    name, data, made = IMAGE_PATH_NAMES[path], data_name(bench), []
    label = request.label if images.kind(data).classes else -1
    for k, n in enumerate(RACE_CALLS):
        asked = FlowPicturesRequest(data=data, path=path, sampler="euler", nfe=n, seeds=(request.seed,), label=label)
        try:
            if k == 0:  # what is set up at first is no part of a picture's time
                images.flow_pictures(asked, part(report, 0, 0))
            share = part(report, k / len(RACE_CALLS), (k + 1) / len(RACE_CALLS))
            made.append(images.flow_pictures(asked, share))
        except UserError as e:
            return _absent(bench, "Flow", str(e), name)
    return Runner(
        "Flow",
        f"{name}, Euler",
        RACE_CALLS,
        np.concatenate([r.pictures for r in made]),
        np.array([r.seconds for r in made]),
    )
