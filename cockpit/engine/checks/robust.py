"""Accuracy under attack at several strengths: what adversarial training is for, and what shows up masked gradients (Athalye et
al. 2018, arXiv 1802.00420).
"""

import torch

from cockpit.engine import randomness
from cockpit.engine.checks.found import Found
from cockpit.engine.training import Training
from cockpit.nets.attack import attack, still

EPSILONS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Farthest that a pixel moves, on the scale from 0 to 1."""
AXES = ("farthest that a pixel moves", "accuracy")


def robust_accuracy(job: Training, *, images: int = 500, steps: int = 20) -> Found:
    """Projected gradient descent against the network on validation images, in fp32 and evaluation mode."""
    places = torch.arange(min(images, len(job.val)), device=job.device)
    clean = job.val.take(places)
    draw = randomness.stream(job.recipe.seed, "robust_accuracy", 0)
    curve = []
    with still(job.model):
        for epsilon in EPSILONS:
            start = ((2 * torch.rand(clean.x.shape, generator=draw) - 1) * epsilon).to(job.device)
            moved = attack(
                lambda x: job.model(job.val.standardise(clean._replace(x=x)).x).float(),
                clean.x,
                clean.y,
                epsilon,
                2.5 * epsilon / steps,
                steps if epsilon else 0,
                start if epsilon else None,
            )
            with torch.no_grad():
                guess = job.model(job.val.standardise(clean._replace(x=moved)).x).argmax(1)
            curve.append((epsilon, float((guess == clean.y).float().mean())))
    chance = 1 / job.task.classes
    masked = curve[-1][1] > 2 * chance
    words = ", ".join(f"{accuracy:.1%} at {epsilon:g}" for epsilon, accuracy in curve)
    doubt = "; it does not fall to chance at 0.5, so the gradients may be masked" if masked else ""
    return Found(
        "robust_accuracy",
        not masked,
        f"PGD-{steps} on {len(places)} images, by how far a pixel moves: {words}{doubt}",
        (),
        {f"{e:g}": a for e, a in curve},
        tuple(curve),
        AXES,
    )
