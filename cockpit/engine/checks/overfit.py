"""Can the network learn one batch by heart? If not it is too small, its signal dies, or the labels are broken (advice of
Y. Bengio, quoted in the lecture). The loss must reach the floor that the recipe's loss has, which label smoothing lifts.
"""

import math

import torch
from torch import Tensor, nn

from cockpit.engine.checks.bare import bare_model, clean_batch, own_draws
from cockpit.engine.checks.found import Found
from cockpit.engine.floors import floor_of
from cockpit.engine.training import Training

NEAR = 0.05


def overfit_one_batch(job: Training, *, steps: int = 400, images: int = 32, lr: float = 3e-3) -> Found:
    """Train a fresh copy on one clean batch with Adam until it knows it; dropout and every toggle but the loss's are off."""
    x, y = clean_batch(job, images)
    floor = floor_of(job)
    with own_draws(job):
        curve, last, accuracy = _learned(job, _without_dropout(bare_model(job)), x, y, floor, steps, lr)
    ok = _known(last, floor, accuracy)
    words = "learns" if ok else "does not learn"
    advice = "" if ok else ": the network is too small, its signal dies on the way, or the labels are broken"
    headline = f"{words} {len(y)} images by heart: loss {last:.3f} of a least {floor:.3f}, accuracy {accuracy:.0%}{advice}"
    numbers = {"loss": last, "floor": floor, "accuracy": accuracy}
    return Found("overfit_one_batch", ok, headline, (), numbers, tuple(curve), ("step", "loss"))


def _without_dropout(model: nn.Module) -> nn.Module:
    model.train()
    for module in model.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.eval()
    return model


def _known(loss: float, floor: float, accuracy: float) -> bool:
    return loss - floor < NEAR and accuracy == 1.0


def _learned(
    job: Training, model: nn.Module, x: Tensor, y: Tensor, floor: float, steps: int, lr: float
) -> tuple[list[tuple[float, float]], float, float]:
    """The curve of the loss while it is finite, and the loss and the accuracy reached."""
    optimizer = torch.optim.Adam([weight for weight in model.parameters() if weight.requires_grad], lr=lr)
    curve: list[tuple[float, float]] = []
    last, accuracy = math.nan, 0.0
    for step in range(1, steps + 1):
        logits = model(x).float()
        loss = job.criterion(logits, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        last, accuracy = float(loss.detach()), float((logits.argmax(1) == y).float().mean())
        if not math.isfinite(last):
            break
        curve.append((float(step), last))
        if _known(last, floor, accuracy):
            break
    return curve, last, accuracy
