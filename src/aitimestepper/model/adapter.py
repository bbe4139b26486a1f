"""From a state and its history to a step."""

from __future__ import annotations

from collections.abc import Hashable

import torch
from torch import Tensor, nn

from aitimestepper.config.schema import Config
from aitimestepper.constants import DT_FLOOR
from aitimestepper.features.build import feature_length
from aitimestepper.features.scales import NormScales, scales_of
from aitimestepper.model.history_buffer import HistoryBuffer
from aitimestepper.model.particle import ParticleTorch


class ModelAdapter:
    """Builds the features of a state, and turns the network's output into a step.

    Args:
        config: feature type, history length, normalisation and the scale of the output.
        device: where features are put; None leaves them where the state is.
        dtype: precision of the features; None leaves that of the state.

    Attributes:
        history_enabled: whether the features look back.
        history_buffer: the adapter's own history, used where no other is given; None without a history.
        norm_scales: scales of the features. With `norm_mode` auto they are None until the first state is seen, and
            are then those of that state, or set from a checkpoint.
    """

    def __init__(
        self, config: Config, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> None:
        self.config = config
        self.device = device
        self.dtype = dtype
        self.norm_scales: NormScales | None = _manual_scales(config)
        self.history_enabled = config.history_len > 0
        self.history_buffer = (
            HistoryBuffer(config.history_len, config.feature_type, self.norm_scales) if self.history_enabled else None
        )
        self._last_token: Hashable = None

    def input_dim_from_state(self, state: ParticleTorch) -> int:
        """Length F of the features of a state like this one."""
        return feature_length(self.config.feature_type, self.config.history_len)

    def build_feature_tensor(self, state: ParticleTorch, history_buffer: HistoryBuffer | None = None) -> Tensor:
        """(F,) for one system, (B, F) for a batch; looks back into `history_buffer`, or the adapter's own."""
        scales = self.scales_for(state)
        history = self.history(history_buffer)
        if history is None:
            features = state.system_features(self.config.feature_type, scales)
        else:
            history.norm_scales = history.norm_scales or scales
            features = history.features_for(state)
        return features.to(device=self.device, dtype=self.dtype)

    def history(self, history_buffer: HistoryBuffer | None) -> HistoryBuffer | None:
        """The history in force: the given one, else the adapter's own, or None without a history."""
        if not self.history_enabled:
            return None
        return self.history_buffer if history_buffer is None else history_buffer

    def step_from_output(self, output: Tensor, state: ParticleTorch) -> Tensor:
        """The step (...) of the network's output (..., n) at a state.

        With `output_scale` physical the output counts shortest pair times, which makes it free of units; the floor
        counts them too.
        """
        if self.config.output_scale == "physical":
            return self.step_over(output, state.shortest_pair_time(self.config.G))
        return self.step_over(output, torch.ones_like(state.dt))

    def step_over(self, output: Tensor, unit: Tensor) -> Tensor:
        """The same with the unit of the output (...) given: the shortest pair times, or ones."""
        return ((output[..., 0] + DT_FLOOR) * unit.to(output)).to(unit)

    def predict_dt(self, model: nn.Module, state: ParticleTorch, history_buffer: HistoryBuffer | None = None) -> Tensor:
        """The step of each system, () or (B,), in evaluation mode and without a graph."""
        training = model.training
        model.eval()
        try:
            with torch.no_grad():
                output = model(self.build_feature_tensor(state, history_buffer))
                return self.step_from_output(output, state)
        finally:
            model.train(training)

    def update_history(
        self, state: ParticleTorch, history_buffer: HistoryBuffer | None = None, token: Hashable = None
    ) -> None:
        """Push the state that an accepted step started from; the same token twice in a row pushes once."""
        history = self.history(history_buffer)
        if history is None or (token is not None and token == self._last_token):
            return
        self._last_token = token
        history.push(state)

    def scales_for(self, state: ParticleTorch) -> NormScales:
        """The scales of the features; with `norm_mode` auto those of the first state that this is asked about."""
        if not self.config.normalize_inputs:
            return NormScales()
        if self.norm_scales is None:
            self.norm_scales = scales_of(state.snapshot().detached())
        return self.norm_scales


def _manual_scales(config: Config) -> NormScales | None:
    if not config.normalize_inputs:
        return NormScales()
    if config.norm_mode == "auto":
        return None
    assert config.norm_L0 is not None
    assert config.norm_V0 is not None
    length, speed = config.norm_L0, config.norm_V0
    return NormScales(length, speed, config.norm_A0 or speed**2 / length, config.norm_T0 or length / speed)
