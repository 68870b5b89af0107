"""Norms over parts of a batch: ghost batch norm against a slow twin, and what each does to its running statistics."""

import pytest
import torch
from choices import make, net
from torch import Tensor, nn

from cockpit.nets.ghost import GhostBatchNorm
from cockpit.nets.statistics import frozen_statistics

EPS = 1e-5


def groups_of(images: int, ghost: int) -> list[range]:
    """Whole groups in order, then the rest; a rest of one joins the group before it."""
    starts = list(range(0, images, ghost))
    if len(starts) > 1 and images - starts[-1] == 1:
        starts.pop()
    return [range(start, end) for start, end in zip(starts, [*starts[1:], images], strict=True)]


def slow_twin(x: Tensor, ghost: int, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """One group and one channel at a time, from sums: outputs, and mean and unbiased variance, averaged over the groups."""
    out, means, variances = torch.zeros_like(x), [], []
    for group in groups_of(len(x), ghost):
        for channel in range(x.shape[1]):
            values = torch.stack([x[image, channel] for image in group])
            count = values.numel()
            mean = values.sum() / count
            spread = ((values - mean) ** 2).sum()
            for image in group:
                standard = (x[image, channel] - mean) / (spread / count + EPS) ** 0.5
                out[image, channel] = standard * weight[channel] + bias[channel]
            means.append(mean.detach())
            variances.append(spread.detach() / (count - 1))
    channels = x.shape[1]
    return out, torch.stack(means).view(-1, channels).mean(0), torch.stack(variances).view(-1, channels).mean(0)


@pytest.mark.parametrize("shape", [(), (3, 2)])
@pytest.mark.parametrize(("images", "ghost"), [(8, 4), (9, 4), (11, 4), (5, 4), (3, 2), (4, 4), (3, 4), (12, 2)])
def test_ghost_batch_norm_is_its_slow_twin(images: int, ghost: int, shape: tuple[int, ...]) -> None:
    torch.manual_seed(images)
    layer = make("norm", "ghost_batch", ghost=ghost, momentum=0.3).build(3, spatial=bool(shape)).double()
    x = torch.randn(images, 3, *shape, dtype=torch.float64).add_(2).requires_grad_()
    with torch.no_grad():
        layer.weight.uniform_(0.5, 2)
        layer.bias.uniform_(-1, 1)
    twin, mean, var = slow_twin(x, ghost, layer.weight, layer.bias)
    torch.testing.assert_close(layer(x), twin)
    torch.testing.assert_close(layer.running_mean, 0.3 * mean)
    torch.testing.assert_close(layer.running_var, 0.7 + 0.3 * var)
    assert int(layer.num_batches_tracked) == 1

    pull = torch.randn_like(x)
    inputs = (x, layer.weight, layer.bias)
    wanted = torch.autograd.grad((twin * pull).sum(), inputs)
    torch.testing.assert_close(torch.autograd.grad((layer(x) * pull).sum(), inputs), wanted)


def test_ghost_batch_norm_is_plain_in_evaluation_and_up_to_one_group() -> None:
    torch.manual_seed(0)
    ghost, plain = GhostBatchNorm(4, 8), nn.BatchNorm2d(4)
    for _ in range(3):
        x = torch.randn(8, 4, 2, 2)
        assert torch.equal(ghost(x), plain(x))
    x = torch.randn(32, 4, 2, 2)
    assert torch.equal(ghost.eval()(x), plain.eval()(x))
    assert torch.equal(ghost.running_var, plain.running_var)


def test_without_a_momentum_the_statistics_are_the_mean_over_the_batches() -> None:
    torch.manual_seed(0)
    layer, seen = GhostBatchNorm(2, 2, momentum=None), []
    for _ in range(4):
        x = torch.randn(6, 2)
        layer(x)
        seen.append(x.mean(0))
    torch.testing.assert_close(layer.running_mean, torch.stack(seen).mean(0))


def test_a_second_look_leaves_the_running_statistics_of_a_ghost_alone() -> None:
    layer = GhostBatchNorm(2, 4)
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    with frozen_statistics(layer):
        layer(torch.randn(16, 2))
    assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())


def test_a_ghost_refuses_other_shapes() -> None:
    with pytest.raises(ValueError, match=r"takes \(B, C\) or \(B, C, H, W\), not 3 dimensions"):
        GhostBatchNorm(2, 2, momentum=None).eval()(torch.zeros(4, 2, 5))


def test_split_batch_scores_with_the_first_part_and_takes_an_odd_batch_whole() -> None:
    torch.manual_seed(0)
    split, plain = make("norm", "split_batch").build(3, spatial=True), nn.BatchNorm2d(3)
    x = torch.randn(8, 3, 4, 4)
    split(x), plain(x[:4])
    assert torch.equal(split.eval()(x), plain.eval()(x))
    odd = torch.randn(5, 3, 4, 4)
    assert torch.equal(split.train()(odd), plain.train()(odd))


def test_frn_learns_its_threshold() -> None:
    layer = make("norm", "frn").build(2, spatial=True)
    with torch.no_grad():
        layer.tau.fill_(-0.5)
    assert float(layer(torch.randn(8, 2, 4, 4)).detach().min()) == -0.5
    assert layer.tau.requires_grad


@pytest.mark.parametrize("norm", ["rms", "ghost_batch", "sync_batch"])
def test_norms_for_vectors_serve_the_tokens_of_a_transformer(norm: str) -> None:
    network = net("vit", side=8, dim=24, depth=1, norm=norm)
    assert network(torch.randn(3, 1, 8, 8)).isfinite().all()
