"""Differentiable physics: pure functions of tensors with any leading batch dimensions."""
