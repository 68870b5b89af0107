"""Attacks against closed forms and against each other, and what they must leave alone."""

import pytest
import torch
from kit import DIGITS, batch, images, moment, parts
from torch import Tensor, nn
from torch.nn import functional

from cockpit.engine.wiring import Wiring
from cockpit.nets.attack import attack, still
from cockpit.recipe import loads
from cockpit.travel import Moment, Outcome
from cockpit.tricks.adversarial import Fgsm, FgsmRs, Pgd, losses, noise

TRICKS = [Fgsm(), Fgsm(bn="train"), FgsmRs(), Pgd(steps=3), Pgd(steps=2, restarts=2)]


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.Tanh(), nn.Flatten(), nn.Dropout(0.3), nn.Linear(384, 10)
    )


def trained(steps: int = 30) -> tuple[nn.Module, Tensor, Tensor]:
    """A network that knows some noise by heart, with the noise."""
    net, x, y = network(), torch.rand(32, 1, 8, 8, generator=torch.Generator().manual_seed(1)), torch.arange(32) % 10
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        functional.cross_entropy(net(x), y).backward()
        optimizer.step()
    return net.eval(), x, y


@pytest.mark.parametrize("epsilon", [0.0, 0.03, 0.3])
def test_one_step_on_a_linear_network_is_the_closed_form(epsilon):
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    x, y = torch.rand(16, 1, 8, 8), torch.randint(0, 10, (16,))
    wrong = net(x).softmax(1) - functional.one_hot(y, 10)
    slope = (wrong @ net[1].weight).view_as(x)
    want = (x + epsilon * slope.sign()).clamp(0, 1)
    torch.testing.assert_close(attack(net, x, y, epsilon, epsilon, 1, None), want.detach())


@pytest.mark.parametrize("epsilon", [0.01, 0.1, 0.5])
def test_attacks_stay_in_their_box_and_more_steps_do_more_harm(epsilon):
    net, x, y = trained()
    one = attack(net, x, y, epsilon, epsilon, 1, None)
    start = noise(x, epsilon, torch.Generator().manual_seed(2))
    many = attack(net, x, y, epsilon, epsilon / 4, 10, start)
    for moved in (one, many):
        assert float((moved - x).abs().max()) <= epsilon + 1e-6
        assert float(moved.min()) >= 0 and float(moved.max()) <= 1 and not moved.requires_grad
    clean, fast, slow = (float(losses(net, each, y).mean()) for each in (x, one, many))
    assert clean < fast <= slow + 1e-6


def test_the_steps_are_projected_one_by_one():
    net, x, y = trained()
    there, start = x, noise(x, 0.1, torch.Generator().manual_seed(2))
    there = x + (torch.clamp(x + start, 0, 1) - x)
    for _ in range(4):
        there = there.detach().requires_grad_()
        functional.cross_entropy(net(there), y).backward(inputs=[there])
        moved = (there.detach() - x + 0.04 * there.grad.sign()).clamp(-0.1, 0.1)
        there = x + (torch.clamp(x + moved, 0, 1) - x)
    torch.testing.assert_close(attack(net, x, y, 0.1, 0.04, 4, start), there)


def test_the_random_start_fills_the_box():
    start = noise(torch.zeros(50, 1, 8, 8), 0.2, torch.Generator().manual_seed(0))
    assert float(start.abs().max()) <= 0.2 and abs(float(start.std()) - 0.2 / 3**0.5) < 0.01


def test_of_several_starts_the_worst_counts_for_each_image():
    net, x, y = trained()
    trick, single = Pgd(steps=2, restarts=4), Pgd(steps=2)
    many, one = trick.moved(net, x, y, moment()), single.moved(net, x, y, moment())
    gain = losses(net, many, y) - losses(net, one, y)
    assert float(gain.min()) >= 0 and int((gain > 0).sum()) > 8


@pytest.mark.parametrize("trick", TRICKS, ids=lambda trick: f"{trick.card.name}")
def test_an_attack_leaves_no_trace(trick):
    net, feed = network(), images(DIGITS, 32)
    net[4].eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    torch.manual_seed(7)
    wanted = torch.rand(1)
    torch.manual_seed(7)
    plain = batch(DIGITS, 32, feed)
    pixels = plain.x.clone()
    passed = trick.plug(parts(net, DIGITS, feed)).batch(plain, moment())
    assert passed is plain and torch.equal(plain.x, pixels)
    assert torch.equal(torch.rand(1), wanted)
    assert all(weight.grad is None and weight.requires_grad for weight in net.parameters())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert [module.training for module in net] == [True, True, True, True, False, True]


def test_the_attack_sees_running_statistics_or_those_of_the_batch():
    net, feed = network(), images(DIGITS, 32)
    with torch.no_grad():
        net[1].running_mean += 5
    plain = batch(DIGITS, 32, feed)
    seen = {}
    for bn in ("eval", "train"):
        plug = Fgsm(bn=bn).plug(parts(net, DIGITS, feed))
        plug.batch(plain, moment())
        seen[bn] = plug._moved[plain.ids].x

    def by_hand(net: nn.Module) -> Tensor:
        x = plain.x.clone().requires_grad_()
        functional.cross_entropy(net((x - feed.mean) / feed.std), plain.y).backward(inputs=[x])
        return ((plain.x + 0.1 * x.grad.sign()).clamp(0, 1) - feed.mean) / feed.std

    twin = network()
    twin.load_state_dict(net.state_dict())
    torch.testing.assert_close(seen["eval"], by_hand(twin.eval()))
    twin[1].train()
    torch.testing.assert_close(seen["train"], by_hand(twin))
    assert not torch.equal(seen["eval"], seen["train"])


def test_statistics_come_back_after_an_error():
    net = network()
    kept = net[1].running_mean
    with pytest.raises(KeyError), still(net, batch_statistics=True):
        net(torch.rand(4, 1, 8, 8))
        raise KeyError
    assert net.training and net[1].running_mean is kept and int(net[1].num_batches_tracked) == 0


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_the_loss_is_shared_between_clean_and_moved_images(weight):
    net, feed = network().eval(), images(DIGITS, 24)
    plug = Fgsm(weight=weight, epsilon=0.05).plug(parts(net, DIGITS, feed))
    asked = []

    def inner(seen, at: Moment) -> Outcome:
        asked.append(seen)
        return Outcome(functional.cross_entropy(net(seen.x), seen.y), net(seen.x))

    objective = plug.objective(inner, net, functional.cross_entropy)
    halves = [feed.take(torch.arange(12)), feed.take(torch.arange(12, 24))]
    at = moment()
    passed = [feed.standardise(plug.batch(half, at)) for half in halves]
    for half, ready in zip(halves, passed, strict=True):
        # Mixed after the attack: the moved images keep the labels that they had.
        mixed = ready._replace(x=ready.x * 0.5, y=torch.full((12, 10), 0.1))
        outcome = objective(mixed, at)
        moved = attack(lambda x: net((x - feed.mean) / feed.std), half.x, half.y, 0.05, 0.05, 1, None)
        hard = functional.cross_entropy(net((moved - feed.mean) / feed.std), half.y)
        clean = functional.cross_entropy(net(mixed.x), mixed.y)
        torch.testing.assert_close(outcome.loss, (1 - weight) * clean + weight * hard)
        assert outcome.logits.shape == (12, 10)
    assert len(asked) == (0 if weight == 1 else 2)


def test_a_batch_that_was_not_attacked_has_its_plain_loss():
    net, feed = network().eval(), images(DIGITS, 8)
    plug = Pgd().plug(parts(net, DIGITS, feed))
    plain = feed.standardise(batch(DIGITS, 8, feed))
    assert plug.objective(lambda batch, at: "plain", net, functional.cross_entropy)(plain, moment()) == "plain"


def test_the_attack_comes_before_standardising_and_mixing():
    recipe = loads("{}", edits=["tricks.pgd=on", "tricks.mixup=on", "tricks.pgd.steps=1"])
    net, feed = network(), images(DIGITS, 8)
    wiring = Wiring(recipe, parts(net, DIGITS, feed))
    ready = wiring.batch(feed.take(torch.arange(8)), moment())
    moved = wiring.plugs["pgd"]._moved[ready.ids]
    assert ready.y.is_floating_point() and torch.equal(moved.y, torch.arange(8) % 10)
    pixels = moved.x * feed.std + feed.mean
    assert float((pixels - feed.take(torch.arange(8)).x).abs().max()) <= 0.1 + 1e-5
