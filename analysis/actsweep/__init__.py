"""Reads sweep files of actsweep and draws their massive activations.

>>> sweep = actsweep.open("results/demo.h5")
>>> sweep.massive                        # one row per massive activation, with its token's text
>>> actsweep.class_mean(sweep.residual)  # [layer, class, channel]
>>> actsweep.magnitude_3d(sweep, sweep.prompts[0]).savefig("magnitude.png")
"""

from .findings import Criterion, lower_median, massive_channels
from .moments import (
    ROLES,
    TOKEN_CLASSES,
    channel_mean,
    channel_quantile,
    channel_std,
    class_mean,
    class_std,
    layer_summary,
    magnitude_quantile,
    role_mean,
    role_std,
)
from .pictures import layer_curve, magnitude_3d, save
from .sweep import Sweep
from .sweep import open_sweep as open

__all__ = [
    "ROLES",
    "TOKEN_CLASSES",
    "Criterion",
    "Sweep",
    "channel_mean",
    "channel_quantile",
    "channel_std",
    "class_mean",
    "class_std",
    "layer_curve",
    "layer_summary",
    "lower_median",
    "magnitude_3d",
    "magnitude_quantile",
    "massive_channels",
    "open",
    "role_mean",
    "role_std",
    "save",
]
