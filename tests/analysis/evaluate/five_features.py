"""In place of the Inception network: five numbers a picture, made in no time."""

import torch


def network(pixels):
    """(B, 3, H, W) bytes -> (B, 5): means of the colours, and the red of the upper and of the left rim."""
    x = pixels.float() / 255
    return torch.cat([x.mean((2, 3)), x[:, :1, :4].mean((2, 3)), x[:, :1, :, :4].mean((2, 3))], 1)
