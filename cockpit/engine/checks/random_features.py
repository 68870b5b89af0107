"""A linear classifier on the features of the untrained network: a cheap score of an architecture (Saxe et al. 2011, "On
random weights and unsupervised feature learning", ICML).
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from cockpit.engine.checks.bare import bare_model, own_draws
from cockpit.engine.checks.found import Found
from cockpit.engine.feed import Feed
from cockpit.engine.training import Training
from cockpit.nets.places import head_of
from cockpit.nets.statistics import refresh_batch_norm

MOST = 10_000
"""Training images used."""


def random_features(job: Training, *, steps: int = 300) -> Found:
    """Freeze a fresh network, train a linear head on its features with Adam, score it on validation."""
    chance = float(torch.bincount(job.val.labels).max()) / len(job.val)
    with own_draws(job):
        model = bare_model(job)
        try:
            head = head_of(model).layer
        except ValueError as error:
            return Found("random_features", True, f"not measured: {error}")
        refresh_batch_norm(model, (job.train.clean(places).x for places in job.clean_places()))
        used = torch.cat(list(job.clean_places()))[:MOST]  # in a random order, so that every class is among them
        train = _features(model, head, job.train, used.split(512))
        val = _features(model, head, job.val, job.val_places())
        mean, spread = train.mean(0), train.std(0).clamp(min=1e-6)
        linear = _fit((train - mean) / spread, job.train.labels[used], job.task.classes, steps)
        with torch.no_grad():
            right = linear((val - mean) / spread).argmax(1) == job.val.labels
    accuracy = float(right.float().mean())
    against = f"a constant answer {chance:.1%}"
    headline = f"a linear head on {train.shape[1]} untrained features gets {accuracy:.1%} of validation right, {against}"
    return Found("random_features", accuracy > chance, headline, (), {"accuracy": accuracy, "chance": chance})


@torch.no_grad()
def _features(model: nn.Module, head: nn.Module, feed: Feed, batches: Iterable[Tensor]) -> Tensor:
    """What reaches the head, float (N, F)."""
    seen: list[Tensor] = []
    handle = head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].float()))
    try:
        for places in batches:
            model(feed.clean(places).x)
    finally:
        handle.remove()
    return torch.cat(seen)


def _fit(features: Tensor, labels: Tensor, classes: int, steps: int) -> nn.Linear:
    linear = nn.Linear(features.shape[1], classes).to(features.device)
    optimizer = torch.optim.Adam(linear.parameters(), lr=1e-2)
    for _ in range(steps):
        loss = nn.functional.cross_entropy(linear(features), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return linear
