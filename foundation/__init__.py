"""What both models stand on: network, data, training loop, checkpoints, perceptual distance, FID."""

from foundation.randomness import noise

__all__ = ["noise"]
