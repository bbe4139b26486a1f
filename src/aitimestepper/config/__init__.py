"""Settings of a training and of a simulation: one schema, and what reads it."""

from aitimestepper.config.schema import Config

__all__ = ["Config"]
