"""Looks at a network before it trains. Each leaves the training exactly as it found it."""

from collections.abc import Callable

from cockpit.engine.checks.found import Found
from cockpit.engine.checks.lr_range import lr_range
from cockpit.engine.checks.noise_scale import noise_scale
from cockpit.engine.checks.overfit import overfit_one_batch
from cockpit.engine.checks.random_features import random_features
from cockpit.engine.checks.robust import robust_accuracy
from cockpit.engine.checks.sharpness import sharpness
from cockpit.engine.checks.weights import weights
from cockpit.engine.training import Training

CHECKS: dict[str, Callable[[Training], Found]] = {
    "weights": weights,
    "overfit_one_batch": overfit_one_batch,
    "random_features": random_features,
    "lr_range": lr_range,
    "noise_scale": noise_scale,
    "sharpness": sharpness,
    "robust_accuracy": robust_accuracy,
}
"""By name, the cheap ones first."""

__all__ = ["CHECKS", "Found"]
