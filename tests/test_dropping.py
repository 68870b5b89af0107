"""What is left out at random in training: channels, regions, branches, patches. Rates, means, and nothing in evaluation."""

import pytest
import timm
import torch
from choices import make
from conftest import TINY
from kit import COLOUR, DIGITS, parts
from torch import nn

from cockpit.recipe import RecipeError, loads
from cockpit.tricks.dropout import AlphaDropout, Dropout
from cockpit.tricks.dropout_maps import DropBlock, Dropout2d, last_map
from cockpit.tricks.patch_dropout import PatchDropout
from cockpit.tricks.stochastic_depth import StochasticDepth, residual_blocks


def model(name, **knobs):
    torch.manual_seed(0)
    return make("model", name, **knobs).build(DIGITS).train()


def vit(**knobs):
    return model("vit", **{"patch": 2, "dim": 16, "depth": 3, "heads": 2, "mlp_ratio": 2.0, **knobs})


def seen_by(module, run):
    """What a module is given."""
    kept = []
    with module.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0].detach())):
        run()
    return kept[0]


X = torch.rand(64, 1, 8, 8, generator=torch.Generator().manual_seed(0)) + 0.1
ALL = [
    (Dropout2d(p=0.5), "small_cnn", {"widths": (64,), "convs": 1, "norm": "none"}),
    (DropBlock(p=0.3), "small_cnn", {"widths": (64,), "convs": 1, "norm": "none"}),
    (AlphaDropout(p=0.3), "mlp", {"widths": (64, 64), "norm": "none", "activation": "selu"}),
    (Dropout(p=0.3, where="all"), "mlp", {"widths": (64, 64), "norm": "none"}),
    (StochasticDepth(rate=0.5), "resnet", {"depth": 20, "width": 0.5, "norm": "group"}),
    (StochasticDepth(rate=0.5, mode="batch"), "vit", {"patch": 2, "dim": 16, "depth": 3, "heads": 2}),
    (PatchDropout(p=0.5), "vit", {"patch": 2, "dim": 16, "depth": 2, "heads": 2}),
]


@pytest.mark.parametrize(("trick", "name", "knobs"), ALL)
def test_it_acts_in_training_only_and_can_be_taken_off(trick, name, knobs):
    net = model(name, **knobs)
    plain = net(X)
    plug = trick.plug(parts(net))
    assert plug.model(net, DIGITS) is net
    torch.manual_seed(1)
    one, other = net(X), net(X)
    assert not torch.allclose(one, plain) and not torch.allclose(one, other)
    torch.manual_seed(1)
    assert torch.equal(net(X), one), "it draws from torch's own generator"
    torch.testing.assert_close(net.eval()(X), plain)
    plug.close()
    torch.testing.assert_close(net.train()(X), plain)


def test_whole_channels_of_the_last_map_are_dropped():
    net = model("small_cnn", widths=(4, 64), convs=1, norm="none", activation="sigmoid")
    clean = seen_by(net.mean, lambda: net(X))
    Dropout2d(p=0.25).plug(parts(net))
    maps = seen_by(net.mean, lambda: net(X))
    assert maps.shape == (64, 64, 4, 4)
    gone = (maps == 0).all(dim=(2, 3))
    assert torch.equal((maps == 0).any(dim=(2, 3)), gone), "all of a channel or nothing"
    assert float(gone.float().mean()) == pytest.approx(0.25, abs=0.03)
    torch.testing.assert_close(maps[~gone], clean[~gone] / 0.75)


def test_dropped_regions_are_blocks_of_the_wanted_share():
    net = model("small_cnn", widths=(64,), convs=1, norm="none", activation="sigmoid")
    DropBlock(p=0.2, block=3).plug(parts(net))
    gone = (seen_by(net.mean, lambda: net(X)) == 0).float()
    assert float(gone.mean()) == pytest.approx(0.2, abs=0.03)
    # Opened by 3x3 squares, a union of 3x3 squares is itself.
    eroded = 1 - nn.functional.max_pool2d(1 - gone, 3, stride=1)
    opened = nn.functional.max_pool2d(nn.functional.pad(eroded, [2] * 4), 3, stride=1)
    assert torch.equal(opened, gone)


@pytest.mark.parametrize(
    ("block", "words"),
    [(4, "must be odd; the nearest are 3 and 5"), (0, "from 1 to 31"), (7, "larger than the 4x4 map; take 3")],
)
def test_blocks_that_do_not_fit_are_refused(block, words):
    with pytest.raises((RecipeError, ValueError), match=words):
        loads(TINY, edits=[f"tricks.drop_block.block={block}"])
        DropBlock(block=block).plug(parts(model("small_cnn", widths=(4, 4))))


@pytest.mark.parametrize(
    ("name", "knobs", "place", "size"),
    [
        ("small_cnn", {"widths": (8,), "convs": 1}, "conv1_1_act", (8, 8)),
        ("small_cnn", {"widths": (4, 4)}, "conv2_2_act", (4, 4)),
        ("resnet", {"depth": 20, "width": 0.5}, "stage3_3", (2, 2)),
    ],
)
def test_the_last_map_is_the_one_before_the_mean(name, knobs, place, size):
    net = model(name, **knobs)
    found, shape = last_map(parts(net), "this")
    assert found is net.get_submodule(place) and shape == size
    assert net.training


def test_the_last_map_of_a_library_network_is_behind_its_last_norm():
    net = timm.create_model("resnet18", num_classes=10)
    found, shape = last_map(parts(net, COLOUR._replace(height=64, width=64)), "this")
    assert found is net.layer4 and shape == (2, 2)


@pytest.mark.parametrize("trick", [Dropout2d(), DropBlock()])
@pytest.mark.parametrize("net", [vit, lambda: model("mlp")])
def test_networks_without_maps_are_refused(trick, net):
    with pytest.raises(ValueError, match="needs the maps of a convolutional network"):
        trick.plug(parts(net()))


def test_alpha_dropout_keeps_mean_and_variance_behind_selu():
    net = model("mlp", widths=(64, 512), norm="none", activation="selu", init="lecun_normal")
    x = torch.randn(512, 1, 8, 8, generator=torch.Generator().manual_seed(0))

    def moments(trick):
        plug = trick.plug(parts(net))
        found = seen_by(net.fc2, lambda: net(x))
        plug.close()
        return found.mean().item(), found.std().item()

    wanted = moments(AlphaDropout(p=0.0))
    assert moments(AlphaDropout(p=0.3)) == pytest.approx(wanted, abs=0.02)
    assert moments(Dropout(p=0.3, where="all")) != pytest.approx(wanted, abs=0.1)


@pytest.mark.parametrize("trick", [AlphaDropout(), Dropout(where="all")])
def test_a_network_of_one_layer_has_nothing_to_drop(trick):
    with pytest.raises(ValueError, match="needs a linear layer behind the first layer"):
        trick.plug(parts(model("mlp", widths=())))
    Dropout().plug(parts(model("mlp", widths=()))).close()


def shares(net, trick, draws=600):
    """How often each branch of each block gave nothing, by image; and the mean of what it gave, relative to the plain one."""
    blocks = residual_blocks(net)
    gone, means = [], []
    for block in blocks:
        for part in block:
            part.forward = lambda x, *_: torch.ones_like(x)
    plug = trick.plug(parts(net))
    for block in blocks:
        for part in block:
            given = part(torch.zeros(draws, 3))
            gone.append((given == 0).all(1).float().mean().item())
            means.append(given.mean().item())
    plug.close()
    return gone, means


def test_the_rate_rises_to_that_of_the_last_block():
    trick = StochasticDepth(rate=0.4)
    gone, means = shares(model("resnet", depth=20, width=0.5), trick, 4000)
    wanted = torch.linspace(0, 0.4, 9).tolist()
    assert gone == pytest.approx(wanted, abs=0.03) and trick.rates(9) == pytest.approx(wanted)
    assert means == pytest.approx([1.0] * 9, abs=0.05)
    assert gone[0] == 0


def test_both_branches_of_a_transformer_block_have_its_rate():
    gone, means = shares(vit(), StochasticDepth(rate=0.4), 4000)
    assert gone == pytest.approx([0, 0, 0.2, 0.2, 0.4, 0.4], abs=0.03)
    assert means == pytest.approx([1.0] * 6, abs=0.05)


def test_without_the_ramp_all_blocks_have_one_rate():
    gone, _ = shares(vit(), StochasticDepth(rate=0.4, ramp=False), 4000)
    assert gone == pytest.approx([0.4] * 6, abs=0.03)
    assert StochasticDepth(rate=0.4).rates(1) == [0.4]


def test_in_batch_mode_a_branch_is_skipped_for_all_images_at_once():
    net = vit(depth=1)
    gone = [shares(net, StochasticDepth(rate=0.5, mode="batch"), 8)[0][0] for _ in range(100)]
    assert set(gone) == {0.0, 1.0} and 30 < sum(gone) < 70


@pytest.mark.parametrize(("name", "branches"), [("resnet18", 8), ("vit_tiny_patch16_224", 24), ("convnext_atto", 12)])
def test_the_networks_of_timm_have_places_for_it(name, branches):
    """Built with a rate of their own they have timm's part there; ours is where that would have been, with the same rates."""
    net, theirs = (timm.create_model(name, num_classes=10, drop_path_rate=rate) for rate in (0.0, 0.3))
    rates = [float(part.drop_prob) for part in theirs.modules() if type(part).__name__ == "DropPath"]
    blocks = residual_blocks(net)
    ours = [rate for block, rate in zip(blocks, StochasticDepth(rate=0.3).rates(len(blocks)), strict=True) for _ in block]
    assert len(ours) == branches
    assert [rate for rate in ours if rate] == pytest.approx(rates)
    before = net.state_dict().keys()
    StochasticDepth(rate=0.3).plug(parts(net)).close()
    assert net.state_dict().keys() == before
    with pytest.raises(ValueError, match="skips branches already"):
        StochasticDepth().plug(parts(theirs))


def test_networks_without_shortcuts_are_refused():
    with pytest.raises(ValueError, match="no residual branch to skip"):
        StochasticDepth().plug(parts(model("small_cnn")))


@pytest.mark.parametrize(("pool", "prefix"), [("token", 1), ("avg", 0)])
def test_patches_are_left_out_and_the_class_token_stays(pool, prefix):
    net = vit(pool=pool)
    whole = seen_by(net.blocks[0], lambda: net(X))
    PatchDropout(p=0.3).plug(parts(net))
    some = seen_by(net.blocks[0], lambda: net(X))
    assert whole.shape[1] == 16 + prefix and some.shape[1] == 11 + prefix
    assert torch.equal(some[:, :prefix], whole[:, :prefix])
    found = (some[:, prefix:, None] == whole[:, None, prefix:]).all(3)
    assert (found.sum(2) == 1).all(), "each token is one of the image's own, at its own position"
    assert (found.sum(1) <= 1).all(), "none twice"
    assert len({tuple(row.tolist()) for row in found.any(1)}) > 50, "each image loses others"


def test_the_transformers_of_timm_have_a_place_for_it():
    net = timm.create_model("vit_tiny_patch16_224", img_size=64, num_classes=10).train()
    plug = PatchDropout(p=0.5).plug(parts(net))
    x = torch.rand(2, 3, 64, 64)
    assert seen_by(net.blocks[0], lambda: net(x)).shape[1] == 8 + 1
    plug.close()
    assert seen_by(net.blocks[0], lambda: net(x)).shape[1] == 16 + 1
    theirs = timm.create_model("vit_tiny_patch16_224", img_size=64, num_classes=10, patch_drop_rate=0.5)
    with pytest.raises(ValueError, match="drops patches already"):
        PatchDropout().plug(parts(theirs))


def test_networks_without_tokens_are_refused():
    with pytest.raises(ValueError, match="needs a vision transformer"):
        PatchDropout().plug(parts(model("resnet", depth=20, width=0.5)))
