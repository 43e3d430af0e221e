"""What can be computed of one HKD model: pure functions of tensors."""
