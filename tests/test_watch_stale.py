"""Left-over gradients: a forgotten zero_grad is found, and two networks that train each other are no fault."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from test_watch import data, loop, network, recorded
from torch import Tensor, nn

from cockpit import watch
from cockpit.runs.history import History

BCE = nn.functional.binary_cross_entropy_with_logits
STEPS = 30


class Pair(nn.Module):
    """A generator and a discriminator."""

    def __init__(self) -> None:
        super().__init__()
        self.draws, self.judges = network(8, noisy=False), network(1, noisy=False)


def judged(pair: Pair, real: Tensor, *, cut: bool) -> Tensor:
    """The discriminator's loss; `cut`: none of it reaches the generator."""
    fake = pair.draws(torch.randn(len(real), 8))
    fake = fake.detach() if cut else fake
    return BCE(pair.judges(real), torch.ones(len(real), 1)) + BCE(pair.judges(fake), torch.zeros(len(real), 1))


def fooled(pair: Pair, count: int) -> Tensor:
    """The generator's loss, which passes through the discriminator."""
    return BCE(pair.judges(pair.draws(torch.randn(count, 8))), torch.ones(count, 1))


def turns(pair: Pair, optimizers: dict[str, Any], order: str, *, cut: bool, to_none: bool, forget: str) -> Iterator[Tensor]:
    """The loss after each network's turn, in the order of the letters."""
    x, _ = data(64)
    for _ in range(STEPS):
        for whose in order:
            if whose != forget:
                optimizers[whose].zero_grad(set_to_none=to_none)
            loss = judged(pair, x, cut=cut) if whose == "j" else fooled(pair, len(x))
            loss.backward()
            optimizers[whose].step()
            yield loss


def flown(watched: str, order: str, *, cut: bool = True, to_none: bool = True, each: bool = False, forget: str = "") -> History:
    """`watched`: whose optimizer is given: d draws, j judges. `each`: step is called after each turn, not only its own."""
    torch.manual_seed(0)
    pair = Pair()
    optimizers = {"d": torch.optim.Adam(pair.draws.parameters()), "j": torch.optim.Adam(pair.judges.parameters())}
    model: nn.Module = pair if each else (pair.draws if watched == "d" else pair.judges)
    with watch(model, optimizers[watched]) as run:
        for number, loss in enumerate(turns(pair, optimizers, order, cut=cut, to_none=to_none, forget=forget)):
            if each or number % len(order) == len(order) - 1:
                run.step(loss)
    return recorded(run)


@pytest.mark.parametrize("to_none", [True, False])
@pytest.mark.parametrize("order", ["jd", "dj", "jjd"])
@pytest.mark.parametrize("watched", ["d", "j"])
def test_two_networks_and_one_watched_optimizer(watched: str, order: str, to_none: bool) -> None:
    history = flown(watched, order, cut=watched == "j", to_none=to_none)
    stale = history.steps["stale"]
    assert (stale == 0).sum() >= 20 and not (stale == 1).any()
    assert "stale_gradients" not in {found.id for found in history.findings}


@pytest.mark.parametrize("watched", ["d", "j"])
def test_a_step_after_each_turn(watched: str) -> None:
    history = flown(watched, "jd", each=True)
    assert not (history.steps["stale"] == 1).any()


@pytest.mark.parametrize("watched", ["d", "j"])
def test_a_zero_grad_that_is_forgotten_in_one_of_two_networks(watched: str) -> None:
    history = flown(watched, "jd", forget=watched)
    assert (history.steps["stale"] == 1).sum() >= 18
    assert "stale_gradients" in {found.id for found in history.findings}


@pytest.mark.parametrize("zero", [True, False])
def test_a_plain_loop_still_tells(zero: bool) -> None:
    x, y = data()
    net = network()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.001)
    with watch(net, optimizer) as run:
        loop(run, net, optimizer, nn.functional.cross_entropy, x, y, zero=zero)
    history = recorded(run)
    assert ("stale_gradients" in {found.id for found in history.findings}) is not zero
    assert history.steps["stale"].tolist() == [0.0] + [float(not zero)] * 19


def test_several_passes_for_an_update() -> None:
    """The first of them is clean; none is, where zero_grad is forgotten."""
    x, y = data()
    for forgotten in (False, True):
        net = network()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.001)
        with watch(net, optimizer) as run:
            for _ in range(8):
                for _ in range(3):
                    outputs = net(x)
                    loss = nn.functional.cross_entropy(outputs, y)
                    loss.backward()
                optimizer.step()
                run.step(loss, outputs, y)
                if not forgotten:
                    optimizer.zero_grad()
        assert recorded(run).steps["stale"].tolist() == [0.0] + [float(forgotten)] * 7


def test_sparse_gradients_do_not_end_the_loop() -> None:
    class Words(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(20, 4, sparse=True)

        def forward(self, ids: Tensor) -> Tensor:
            return torch.as_tensor(self.table(ids).mean(1))

    net = Words()
    ids, y = torch.randint(0, 20, (64, 5)), torch.arange(64) % 4
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with watch(net, optimizer) as run:
        for _ in range(4):
            optimizer.zero_grad(set_to_none=False)
            outputs = net(ids)
            loss = nn.functional.cross_entropy(outputs, y)
            loss.backward()
            optimizer.step()
            run.step(loss, outputs, y)
    assert len(run._log.history.steps) == 4
