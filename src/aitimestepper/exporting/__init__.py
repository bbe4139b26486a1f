"""Models for programs that are not written in Python: as C source, and as ONNX."""

from __future__ import annotations

from aitimestepper.exporting.c_source import export_c
from aitimestepper.exporting.onnx_file import export_onnx

__all__ = ["export_c", "export_onnx"]
