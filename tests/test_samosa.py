"""The learned mix: its loss by hand, what trains what, and that it learns to rebuild."""

import copy

import pytest
import torch
from kit import DIGITS, batch, images, moment, parts
from torch import nn
from torch.nn import functional

from cockpit.nets.decoder import Decoder, rest_encoder
from cockpit.travel import Moment, Outcome, Task
from cockpit.tricks.mixing._mix import cycle
from cockpit.tricks.mixing.samosa import Rebuilding, Samosa


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 10))


class Bench:
    """A network with the trick plugged in, and the objective it makes."""

    def __init__(self, **knobs) -> None:
        self.net = network()
        self.feed = images(DIGITS, 16)
        self.plug: Rebuilding = Samosa(**knobs).plug(parts(self.net, DIGITS, self.feed))
        self.batch = self.feed.standardise(batch(DIGITS, 16, self.feed))
        self.objective = self.plug.objective(self.inner, self.net, functional.cross_entropy)

    def inner(self, batch, at: Moment) -> Outcome:
        logits = self.net(batch.x)
        return Outcome(functional.cross_entropy(logits, batch.y), logits)


def test_the_loss_by_hand():
    bench = Bench(warm_epochs=2, rec=0.7, mix=0.3, code=0.2)
    x, y, plug, net, feed = bench.batch.x, bench.batch.y, bench.plug, bench.net, bench.feed
    with torch.no_grad():  # so that the images show whose rest they have
        plug.decoder.join.weight.mul_(5)
        plug.decoder.paint.weight.mul_(20)
    plain = functional.cross_entropy(net(x), y)
    code, rest = net[:4](x), plug.rest(x)
    rebuilt = functional.mse_loss(plug.decoder(code, rest, 8, 8), feed.take(torch.arange(16)).x)
    before = bench.objective(bench.batch, moment(19))
    torch.testing.assert_close(before.loss, plain + 0.7 * rebuilt)
    partner = cycle(16, moment(20).stream("samosa"))
    mixed = (plug.decoder(code, rest[partner], 8, 8) - feed.mean) / feed.std
    again = functional.mse_loss(net[:4](mixed), code) + functional.mse_loss(plug.rest(mixed), rest[partner])
    after = bench.objective(bench.batch, moment(20))
    torch.testing.assert_close(after.loss, plain + 0.7 * rebuilt + 0.3 * functional.cross_entropy(net(mixed), y) + 0.2 * again)
    torch.testing.assert_close(after.logits, net(x))


def test_running_statistics_are_those_of_the_clean_images():
    net = nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 10)
    )
    twin, feed = copy.deepcopy(net), images(DIGITS, 16)
    plug, ready = Samosa(warm_epochs=0).plug(parts(net, DIGITS, feed)), feed.standardise(batch(DIGITS, 16, feed))
    objective = plug.objective(lambda seen, _: Outcome(net(seen.x).mean(), net(seen.x)), net, functional.cross_entropy)
    objective(ready, moment()).loss.backward()
    twin(ready.x), twin(ready.x)
    torch.testing.assert_close(net[1].state_dict(), {**twin[1].state_dict()})


@pytest.mark.parametrize(("knobs", "learns"), [({"mix": 1.0}, False), ({"code": 1.0}, True), ({"rec": 1.0}, True)])
def test_the_classifiers_opinion_of_a_mixed_image_does_not_train_the_decoder(knobs, learns):
    bench = Bench(**{"warm_epochs": 0, "rec": 0.0, "mix": 0.0, "code": 0.0, **knobs})
    bench.objective(bench.batch, moment()).loss.backward()
    moved = [weight.grad is not None and bool(weight.grad.any()) for weight in bench.plug.decoder.parameters()]
    assert all(moved) if learns else not any(moved)
    assert all(bool(weight.grad.any()) for weight in bench.net.parameters())


def test_rebuilding_learns_and_its_weights_are_in_the_optimizer():
    bench = Bench(width=16)
    groups = bench.plug.params([{"params": list(bench.net.parameters())}], bench.net)
    extra = sum(weight.numel() for group in groups for weight in group["params"]) - sum(
        w.numel() for w in bench.net.parameters()
    )
    assert extra == sum(weight.numel() for net in (bench.plug.rest, bench.plug.decoder) for weight in net.parameters())
    pixels = bench.feed.take(torch.arange(16)).x

    def error() -> float:
        with torch.no_grad():
            return float(
                functional.mse_loss(
                    bench.plug.decoder(bench.net[:4](bench.batch.x), bench.plug.rest(bench.batch.x), 8, 8), pixels
                )
            )

    optimizer, start = torch.optim.Adam(groups, lr=3e-3), error()
    for step in range(50):
        optimizer.zero_grad()
        bench.objective(bench.batch, moment(step, per_epoch=20)).loss.backward()
        optimizer.step()
    assert error() < 0.85 * start


def test_its_weights_are_saved_and_put_back():
    one, two = Bench(width=8), Bench(width=8)
    assert torch.equal(one.plug.rest[0].weight, two.plug.rest[0].weight)  # the same stream
    with torch.no_grad():
        one.plug.rest[0].weight.add_(1)
        one.plug.decoder.paint.bias.add_(1)
    two.plug.load_state_dict(one.plug.state_dict())
    torch.testing.assert_close(two.plug.rest[0].weight, one.plug.rest[0].weight)
    torch.testing.assert_close(two.plug.decoder.paint.bias, one.plug.decoder.paint.bias)


def test_plugging_in_moves_neither_the_modes_nor_torchs_generator():
    net = network()
    net[1].eval()
    torch.manual_seed(3)
    wanted = torch.rand(1)
    torch.manual_seed(3)
    plug = Samosa().plug(parts(net))
    assert torch.equal(torch.rand(1), wanted)
    assert net.training and not net[1].training
    assert len(net[4]._forward_pre_hooks) == 1
    plug.close()
    assert not net[4]._forward_pre_hooks


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (1, 7, 13), (3, 1, 1)])
def test_the_extra_networks_fit_any_image(shape):
    task = Task(*shape, 10)
    x = torch.rand(2, *shape)
    rest = rest_encoder(task, 8)(x)
    painted = Decoder(task, 5, 8)(torch.rand(2, 5), rest, *shape[1:]).detach()
    assert painted.shape == x.shape and float(painted.min()) >= 0 and float(painted.max()) <= 1


def test_a_network_without_one_vector_before_the_head_is_refused():
    tokens = nn.Sequential(nn.Conv2d(1, 4, 2, 2), nn.Flatten(2), nn.Linear(16, 10), nn.Flatten(), nn.LayerNorm(40))
    with pytest.raises(ValueError, match="one vector before the head"):
        Samosa().plug(parts(tokens))
    assert not tokens[2]._forward_pre_hooks
