"""What a loss can be at chance and at best: marks that flags and checks measure against."""

import torch
from torch import Tensor

from cockpit.engine.data.load import Loaded
from cockpit.engine.training import Training


def chance_and_floor(job: Training, loaded: Loaded) -> tuple[float, float]:
    """The loss of answering every image with the class shares, and the least loss that any answer can have."""
    shares = torch.tensor(loaded.facts.train_counts, dtype=torch.float32) / loaded.facts.train
    prior = shares.clamp(min=1e-6).log()[None]
    answers = range(job.task.classes)
    chance = sum(float(shares[answer]) * float(job.criterion(prior, torch.tensor([answer]))) for answer in answers)
    return chance, floor_of(job)


def floor_of(job: Training) -> float:
    """The least loss that any answer can have: 0 for cross-entropy, more where label smoothing asks for doubt."""
    logits = torch.zeros(1, job.task.classes, requires_grad=True)
    search = torch.optim.LBFGS([logits], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        search.zero_grad()
        loss = job.criterion(logits, torch.tensor([0]))
        loss.backward()
        return loss

    search.step(closure)
    floor = float(job.criterion(logits.detach(), torch.tensor([0])))
    return floor if floor > 0.01 else 0.0
