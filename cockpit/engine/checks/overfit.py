"""Can the network learn one batch by heart? If not it is too small, its signal dies, or the labels are broken (advice of
Y. Bengio, quoted in the lecture). The loss must reach the floor that the recipe's loss has, which label smoothing lifts.
"""

import torch
from torch import Tensor, nn

from cockpit.engine.assemble import floor_of
from cockpit.engine.checks.bare import bare_model, clean_batch
from cockpit.engine.checks.found import Found
from cockpit.engine.training import Training

NEAR = 0.05


def overfit_one_batch(job: Training, *, steps: int = 400, images: int = 32, lr: float = 3e-3) -> Found:
    """Train a fresh copy on one clean batch with Adam until it knows it; every toggle but those of the loss is off."""
    x, y = clean_batch(job, images)
    floor = floor_of(job)
    with torch.random.fork_rng():
        torch.manual_seed(job.recipe.seed)
        curve, accuracy = _learned(job, bare_model(job).train(), x, y, floor, steps, lr)
    last = curve[-1][1]
    ok = _known(last, floor, accuracy)
    words = "learns" if ok else "does not learn"
    advice = "" if ok else ": the network is too small, its signal dies on the way, or the labels are broken"
    headline = f"{words} {len(y)} images by heart: loss {last:.3f} of a least {floor:.3f}, accuracy {accuracy:.0%}{advice}"
    numbers = {"loss": last, "floor": floor, "accuracy": accuracy}
    return Found("overfit_one_batch", ok, headline, (), numbers, tuple(curve), ("step", "loss"))


def _known(loss: float, floor: float, accuracy: float) -> bool:
    return loss - floor < NEAR and accuracy == 1.0


def _learned(
    job: Training, model: nn.Module, x: Tensor, y: Tensor, floor: float, steps: int, lr: float
) -> tuple[list[tuple[float, float]], float]:
    """The curve of the loss and the accuracy reached."""
    optimizer = torch.optim.Adam([weight for weight in model.parameters() if weight.requires_grad], lr=lr)
    curve: list[tuple[float, float]] = []
    for step in range(1, steps + 1):
        logits = model(x).float()
        loss = job.criterion(logits, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        accuracy = float((logits.argmax(1) == y).float().mean())
        curve.append((float(step), float(loss.detach())))
        if _known(curve[-1][1], floor, accuracy):
            break
    return curve, accuracy
