"""A denoiser read as a flow: the same posterior mean on another path."""

from __future__ import annotations

import pytest
import torch

from analysis.core.errors import UserError
from analysis.flow.images import TEACHER, FlowPicturesRequest, ImageFlows, teacher_flow
from flow_core.fields import score, velocity
from foundation import noise
from foundation.networks.unet import UNetConfig
from koopman_core.edm import EDM
from koopman_core.model import save
from tests.analysis.flow.image_flows import NETWORK, write_flows
from tests.refusals import refuses


def random_teacher(**network) -> EDM:
    torch.manual_seed(5)
    model = EDM(UNetConfig(**NETWORK, **network)).eval()
    for p in model.parameters():
        if p.ndim > 1:
            torch.nn.init.normal_(p, std=0.15)
    return model


@pytest.mark.parametrize(("path", "sigma"), [("icfm", 0.0), ("idff", 0.2), ("target", 0.05), ("vp", 0.0)])
def test_the_posterior_mean_is_the_denoisers(path, sigma):
    teacher = random_teacher()
    flow, x = teacher_flow(teacher, path, sigma), noise([1, 2], (3, 16, 16))
    for t in (0.1, 0.5, 0.9):
        alpha, variance = {
            "icfm": (t, (1 - t) ** 2),
            "idff": (t, (1 - t) ** 2 + 0.04 * t * (1 - t)),
            "target": (t, (1 - 0.95 * t) ** 2),
            "vp": (
                float(torch.sin(torch.tensor(torch.pi * t / 2))), float(torch.cos(torch.tensor(torch.pi * t / 2))) ** 2
            ),
        }[path]  # fmt: skip
        denoised = teacher(x / alpha, variance**0.5 / alpha)
        said = flow(x, t)
        torch.testing.assert_close(said.x1, denoised, rtol=1e-4, atol=1e-4)
        expected = (alpha * denoised - x) / variance
        torch.testing.assert_close(score(flow.path, x, t, said), expected, rtol=1e-3, atol=1e-3)


def test_velocity_of_the_straight_line():
    teacher = random_teacher()
    flow, x, t = teacher_flow(teacher, "icfm", 0.0), noise([3], (3, 16, 16)), 0.4
    expected = (teacher(x / t, (1 - t) / t) - x) / (1 - t)
    torch.testing.assert_close(velocity(flow.path, x, t, flow(x, t)), expected, rtol=1e-4, atol=1e-4)


def test_a_teacher_in_the_folder_answers(tmp_path):
    write_flows(tmp_path)
    save(random_teacher(classes=3), tmp_path / "faces.teacher.safetensors", {"data": {"classes": ["a", "b", "c"]}})
    save(random_teacher(), tmp_path / "shapes.teacher.safetensors", {})
    save(random_teacher(), tmp_path / "official.teacher.safetensors", {"origin": "elsewhere"})
    (tmp_path / "broken.teacher.safetensors").write_bytes(b"no model")
    flows = ImageFlows(tmp_path)
    kinds = {k.data: k for k in flows.kinds}
    assert kinds["faces"].paths == (TEACHER,) and kinds["faces"].classes == ("a", "b", "c")
    assert kinds["shapes"].paths == ("idff", "otcfm", TEACHER)
    assert not {"official", "broken"} & set(kinds)
    request = FlowPicturesRequest(data="faces", path=TEACHER, sampler="momentum", nfe=3, label=1, seeds=(4,))
    r = flows.flow_pictures(request)
    assert (r.nfe, r.net) == (3, "faces.teacher") and r.pictures.shape == (1, 16, 16, 3)
    with refuses("net"):
        flows.flow_pictures(FlowPicturesRequest(data="faces"))


def test_its_file_must_hold_a_teacher(tmp_path):
    save(random_teacher(), tmp_path / "odd.teacher.safetensors", {})
    flows = ImageFlows(tmp_path)
    assert flows.kinds
    (tmp_path / "odd.teacher.safetensors").write_bytes(b"gone bad since")
    with pytest.raises(UserError):
        flows.flow_pictures(FlowPicturesRequest(data="odd", path=TEACHER))
