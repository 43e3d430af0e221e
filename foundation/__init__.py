"""What both models stand on: network, data, training loop, checkpoints, perceptual distance."""

from foundation.randomness import noise

__all__ = ["noise"]
