"""A tiny teacher that is not idle, and trajectories of it."""

import torch

from foundation.networks.unet import UNetConfig
from koopman_core.edm import EDM
from koopman_core.trajectories import Trajectories, TrajectoryConfig, write_trajectories


def teacher_with_trajectories(folder, resolution):
    """A teacher of random weights, and 24 trajectories of five times."""
    torch.manual_seed(0)
    teacher = EDM(UNetConfig(resolution, base=8, multipliers=(1, 2), blocks=1, attention=(), embedding=16)).eval()
    torch.nn.init.normal_(teacher.net.decoder.conv.weight, std=0.1)
    write_trajectories(teacher, TrajectoryConfig(count=24, steps=5, shard_size=8, batch=8), folder)
    return teacher, Trajectories(folder)
