"""Masked pretraining against plain twins that go through images and patches one by one."""

import copy
import math

import numpy as np
import pytest
import torch
from kit import COLOUR, DIGITS, images, moment, parts
from sklearn.cluster import KMeans
from sklearn.neighbors import NearestCentroid
from test_loop import assert_same, stop_after, weights
from torch import nn
from torch.nn import functional

from cockpit.engine.randomness import stream
from cockpit.host.flight import Flight
from cockpit.launch import new_run
from cockpit.nets import masked
from cockpit.nets.finished import finished
from cockpit.nets.transfer import each_class, features
from cockpit.recipe import RecipeError, loads
from cockpit.runs.history import read_history
from cockpit.tricks.pretraining.masked import MaskedAutoencoder, MaskedToken

TEXT = """
data: {source: digits, limit: 200}
model: {name: vit, patch: 2, dim: 16, depth: 1, heads: 2, pool: avg}
optimizer: {name: adamw, lr: 0.003}
schedule: constant
train: {epochs: 2, batch_size: 32, device: cpu, precision: fp32}
"""
AUTOENCODER = "tricks.masked_autoencoder={decoder_dim: 16, decoder_depth: 1}"
TOKEN = "tricks.masked_token={codes: 16}"
BOTH = pytest.mark.parametrize("trick", [AUTOENCODER, TOKEN])


def vit(task=DIGITS, *, depth=2, pool="token"):
    torch.manual_seed(0)
    return loads(f"model: {{name: vit, patch: 2, dim: 16, depth: {depth}, heads: 2, pool: {pool}}}").model.build(task)


def plugged(trick, task=DIGITS, **knobs):
    """The network, its plug, and a batch of 6 images."""
    net, train = vit(task, **knobs), images(task)
    return net, trick.plug(parts(net, task, train)), train.clean(torch.arange(6))


def outcome(net, plug, batch, at=None):
    return plug.objective(None, net, None)(batch, at or moment())


def squares(image, size):
    """The patches of one image (C, H, W), row by row."""
    _, height, width = image.shape
    corners = [(row, column) for row in range(0, height, size) for column in range(0, width, size)]
    return [image[:, row : row + size, column : column + size].flatten() for row, column in corners]


def drawn(name, kept, count, patches, at):
    """Which patches of each image are shown, and which are hidden."""
    order = torch.rand(count, patches, generator=at.stream(name)).argsort(dim=1).tolist()
    return [(row[:kept], row[kept:]) for row in order]


def embed(net, patch):
    return net.patches.weight.flatten(1) @ patch + net.patches.bias


@pytest.mark.parametrize("pool", ["token", "avg"])
@pytest.mark.parametrize("norm_pix", [True, False])
@pytest.mark.parametrize("task", [DIGITS, COLOUR], ids=["grey", "colour"])
def test_the_pixel_loss_is_that_of_a_plain_twin(task, norm_pix, pool):
    net, plug, batch = plugged(MaskedAutoencoder(norm_pix=norm_pix, decoder_dim=16), task, pool=pool)
    decoder, own = plug._learner, int(pool == "token")
    patches = task.height * task.width // 4
    kept, losses = patches // 4, []
    for image, (shown, hidden) in zip(batch.x, drawn("masked_autoencoder", kept, 6, patches, moment()), strict=True):
        pixels = squares(image, 2)
        tokens = [embed(net, pixels[place]) + net.position[0, own + place] for place in shown]
        front = [net.token[0, 0] + net.position[0, 0]] if own else []
        encoded = net.norm(net.blocks(torch.stack([*front, *tokens])[None]))[0, own:]
        whole = [decoder.hidden[0, 0]] * patches
        for token, place in zip(encoded, shown, strict=True):
            whole[place] = decoder.enter(token)
        rebuilt = decoder.out(decoder.norm(decoder.blocks(torch.stack(whole)[None] + decoder.position)))[0]
        for place in hidden:
            target = pixels[place]
            if norm_pix:
                target = (target - target.mean()) / (target.var(unbiased=False) + 0.01).sqrt()
            losses += ((rebuilt[place] - target) ** 2).tolist()
    assert float(outcome(net, plug, batch).loss.detach()) == pytest.approx(sum(losses) / len(losses), rel=1e-5)


@pytest.mark.parametrize("pool", ["token", "avg"])
def test_the_code_loss_is_that_of_a_plain_twin(pool):
    net, plug, batch = plugged(MaskedToken(codes=16), pool=pool)
    head, own, above, below = plug._learner, int(pool == "token"), 0.0, 0.0
    for image, (_, hidden) in zip(batch.x, drawn("masked_token", 10, 6, 16, moment()), strict=True):
        pixels = squares(image, 2)
        tokens = [
            (head.hidden if place in hidden else embed(net, pixel)) + net.position[0, own + place]
            for place, pixel in enumerate(pixels)
        ]
        front = [net.token[0, 0] + net.position[0, 0]] if own else []
        encoded = net.norm(net.blocks(torch.stack([*front, *tokens])[None]))[0, own:]
        for place in hidden:
            code = int(torch.stack([(pixels[place] - centre).square().sum() for centre in head.centres]).argmin())
            weight = float(head.balance[code])
            above += weight * float(functional.cross_entropy(head.out(encoded[place]), torch.tensor(code)).detach())
            below += weight
    assert float(outcome(net, plug, batch).loss.detach()) == pytest.approx(above / below, rel=1e-5)


@pytest.mark.parametrize(
    ("patches", "share", "hidden"), [(16, 0.75, 12), (49, 0.75, 37), (4, 0.1, 1), (2, 0.9, 1), (10, 0.4, 4)]
)
def test_the_share_of_hidden_patches_is_exact_and_each_patch_is_one_or_the_other(patches, share, hidden):
    mask = masked.draw_mask(200, patches, share, torch.Generator().manual_seed(0), torch.device("cpu"))
    assert mask.hidden.shape == (200, hidden)
    assert torch.equal(torch.cat(mask, dim=1).sort(dim=1).values, torch.arange(patches).expand(200, -1))
    often = torch.bincount(mask.hidden.flatten(), minlength=patches) / 200
    assert (often - hidden / patches).abs().max() < 4.5 * math.sqrt(0.25 / 200)  # every place alike


def test_tokens_go_back_to_where_they_came_from():
    mask = masked.draw_mask(5, 9, 0.5, torch.Generator().manual_seed(0), torch.device("cpu"))
    tokens = torch.randn(5, 9, 3)
    shuffled = torch.cat([masked.pick(tokens, mask.kept), masked.pick(tokens, mask.hidden)], dim=1)
    assert not torch.equal(shuffled, tokens)
    assert torch.equal(masked.pick(shuffled, mask.back), tokens)


def test_only_hidden_patches_are_compared_and_only_visible_ones_are_seen(monkeypatch):
    net, plug, batch = plugged(MaskedAutoencoder(decoder_dim=16))
    plain, targets = outcome(net, plug, batch).loss, masked.pixel_targets
    order = torch.rand(6, 16, generator=moment().stream("masked_autoencoder")).argsort(dim=1)

    def spoil(places):
        def spoiled(x, size, *, norm):
            return targets(x, size, norm=norm).scatter_add(1, places[:, :, None].expand(-1, -1, 4), torch.ones(6, 16, 4))

        monkeypatch.setattr(masked, "pixel_targets", spoiled)
        return outcome(net, plug, batch).loss

    assert torch.equal(spoil(order[:, :4]), plain)
    assert not torch.equal(spoil(order[:, 4:5]), plain)

    x = batch.x.clone().requires_grad_()
    monkeypatch.setattr(masked, "pixel_targets", lambda x, size, norm: targets(x.detach(), size, norm=norm))
    outcome(net, plug, batch._replace(x=x)).loss.backward()
    seen = masked.patches_of(x.grad, 2).abs().sum(2)
    assert (seen.gather(1, order[:, 4:]) == 0).all() and (seen.gather(1, order[:, :4]) > 0).all()


def test_a_flat_patch_is_no_target_and_a_textured_one_has_unit_variance():
    x = torch.cat([torch.full((1, 1, 2, 2), 3.0), 10 * torch.randn(1, 1, 2, 2)], dim=3)
    flat, textured = masked.pixel_targets(x, 2, norm=True)[0]
    assert (flat == 0).all()
    assert float(textured.std(unbiased=False)) == pytest.approx(1, abs=1e-3)


def test_no_two_places_of_the_grid_look_alike():
    positions = masked.grid_positions(3, 5, 16)[0]
    assert positions.shape == (15, 16)
    assert torch.cdist(positions, positions).fill_diagonal_(1).min() > 0.1
    row, column, rate = 2, 4, 10000 ** (-1 / 4)
    want = [math.sin(row * rate), math.sin(column * rate), math.cos(row * rate), math.cos(column * rate)]
    torch.testing.assert_close(positions[row * 5 + column, [1, 5, 9, 13]], torch.tensor(want))


@BOTH
def test_it_learns_without_labels_and_leaves_the_head_out(fly, trick):
    one = fly(TEXT, trick, "train.epochs=5", "optimizer.lr=0.01")
    losses = read_history(one.run).steps["loss"]
    assert losses[-6:].mean() < 0.9 * losses[:6].mean()
    grouped = {weight for group in one.job.optimizer.param_groups for weight in group["params"]}
    assert not grouped & {*one.job.model.head.parameters()}
    assert {*one.job.wiring.plugs[trick[7:].partition("=")[0]]._learner.parameters()} <= grouped


@BOTH
def test_labels_change_nothing_but_the_head(fly, trick, monkeypatch):
    plain = fly(TEXT, trick, "train.epochs=1")
    from cockpit.engine.feed import Feed

    take = Feed.take
    monkeypatch.setattr(Feed, "take", lambda feed, ids: take(feed, ids)._replace(y=(feed.labels[ids] + 3) % 10))
    other = fly(TEXT, trick, "train.epochs=1")
    both = [{name: value for name, value in weights(flight).items() if "head" not in name} for flight in (plain, other)]
    assert_same(*both)


@BOTH
def test_the_shown_accuracy_is_that_of_the_nearest_class_mean(fly, trick):
    flight = fly(TEXT, trick)
    job, plug = flight.job, flight.job.wiring.plugs[trick[7:].partition("=")[0]]
    assert len(plug._places.unique()) == len(plug._places) == len(job.train)  # fewer images than it would take
    seen, labels = features(job.model, job.train, plug._places), job.train.labels[plug._places]
    judge = NearestCentroid().fit(seen.numpy(), labels.numpy())
    shown = features(job.model, job.val, torch.arange(len(job.val)))
    accuracy = float((judge.predict(shown.numpy()) == job.val.labels.numpy()).mean())
    last = read_history(flight.run).evaluations[-1]
    assert last.val_accuracy == pytest.approx(accuracy)

    means = torch.from_numpy(np.asarray(judge.centroids_, np.float32))
    unit = (seen - means[labels]).square().sum(1).mean()
    with torch.no_grad():
        logits = job.model.eval()(job.val.clean(torch.arange(50)).x)
    want = -torch.cdist(shown[:50], means).square() / unit
    torch.testing.assert_close(logits.log_softmax(1), want.log_softmax(1), atol=1e-4, rtol=1e-4)


def test_the_plain_network_loads_the_checkpoint(fly):
    flight = fly(TEXT, AUTOENCODER, "train.epochs=1")
    plain = finished(str(flight.run.path), DIGITS).model
    assert_same(plain.state_dict(), weights(flight))


def test_an_average_gets_class_means_of_its_own(fly):
    flight = fly(TEXT, "tricks={masked_token: {codes: 16}, weight_ema: {decay: 0.9}}")
    last = read_history(flight.run).evaluations[-1]
    average = flight.job.wiring.through("evaluate", flight.job.model)
    assert average is not flight.job.model
    assert not torch.equal(average.head.weight, flight.job.model.head.weight)
    assert last.val_accuracy > 0.12 and last.plain_accuracy > 0.12


@BOTH
def test_a_resume_in_the_middle_equals_straight_through(fly, runs, trick):
    straight = fly(TEXT, trick)
    run = new_run(loads(TEXT, edits=[trick]), runs, "broken", allow_code=False, command=[])
    stop_after(Flight(run, say=print), 8).fly()
    second = Flight(run, resume=True, say=print)
    second.fly()
    assert_same(weights(straight), weights(second))


@pytest.mark.parametrize("trick", [MaskedAutoencoder(decoder_dim=16), MaskedToken(codes=16)])
def test_the_same_step_draws_the_same_and_nobody_else_is_moved(trick):
    net, train = vit(), images()
    before = torch.get_rng_state()
    plug = trick.plug(parts(net, train=train))
    batch = train.clean(torch.arange(6))
    losses = [outcome(net, plug, batch, moment(step)).loss for step in (3, 3, 4)]
    assert torch.equal(losses[0], losses[1]) and not torch.equal(losses[0], losses[2])
    assert torch.equal(torch.get_rng_state(), before)
    net = vit()
    torch.manual_seed(7)
    assert_same(plug.state_dict(), trick.plug(parts(net, train=train)).state_dict())


@pytest.mark.parametrize("trick", [MaskedAutoencoder(decoder_dim=16), MaskedToken(codes=16)])
def test_no_hook_stays_and_the_head_learns_again_when_it_is_closed(trick):
    net, plug, batch = plugged(trick)
    plain, twin = net(batch.x), copy.deepcopy(net)
    outcome(net, plug, batch).loss.backward()
    assert torch.equal(net(batch.x), plain) and torch.equal(twin(batch.x), plain)
    assert net.head.weight.grad is None and net.patches.weight.grad.abs().sum() > 0
    plug.close()
    assert all(weight.requires_grad for weight in net.parameters())


@pytest.mark.parametrize("trick", [MaskedAutoencoder(decoder_dim=16), MaskedToken(codes=16)])
def test_a_compiled_network_is_masked_all_the_same(trick):
    net, plug, batch = plugged(trick, depth=1)
    want, plain = outcome(net, plug, batch), net(batch.x)
    net.compile(backend="eager")
    torch.testing.assert_close(net(batch.x), plain)
    torch.testing.assert_close(outcome(net, plug, batch).loss, want.loss)
    torch.testing.assert_close(net(batch.x), plain)


@pytest.mark.parametrize(
    ("edits", "said"),
    [
        (("model={name: small_cnn, widths: [8]}",), "needs tokens: model vit"),
        (("model.patch=8",), "patch 8 makes one token"),
        (("model.patch=1",), "take norm_pix: off"),
    ],
)
def test_networks_that_cannot_be_masked_are_refused(fly, edits, said):
    flight = fly(TEXT, AUTOENCODER, *edits)
    assert flight.end.state == "failed" and said in flight.end.reason


def test_two_heads_are_one_too_many():
    net = vit()
    net.distilled_head = nn.Linear(16, 10)
    with pytest.raises(ValueError, match="one plain linear head"):
        MaskedAutoencoder().plug(parts(net))


def test_what_cannot_be_is_refused_before_the_run():
    with pytest.raises(ValueError, match="take 16"):
        MaskedAutoencoder(decoder_dim=18)
    for other in ("mixup", "masked_token"):
        with pytest.raises(RecipeError, match="masked_autoencoder"):
            loads(TEXT, edits=[f"tricks={{masked_autoencoder: on, {other}: on}}"])


def test_k_means_goes_the_way_of_scikit_learn():
    points = (
        torch.from_numpy(np.random.default_rng(0).normal(size=(500, 3)).astype(np.float32)) + torch.arange(500)[:, None] % 5
    )
    start = masked.seeds(points, 8, torch.Generator().manual_seed(1))
    ours = masked.k_means(points, start, rounds=300)
    theirs = KMeans(8, init=start.numpy(), n_init=1, max_iter=300, tol=0).fit(points.numpy())
    torch.testing.assert_close(ours, torch.from_numpy(theirs.cluster_centers_), atol=1e-4, rtol=1e-4)
    assert torch.equal(masked.nearest(points, ours), torch.from_numpy(theirs.labels_).long())


def test_k_means_finds_clusters_as_well_as_scikit_learn_and_better_than_chance_starts():
    draw = np.random.default_rng(0)
    places = np.repeat(draw.uniform(-20, 20, (20, 2)), 30, axis=0)
    points = torch.from_numpy((places + draw.normal(size=places.shape)).astype(np.float32))

    def inertia(centres):
        return float(torch.cdist(points, centres).square().min(dim=1).values.sum())

    ours = [inertia(masked.k_means(points, masked.seeds(points, 20, stream(0, "k", number)))) for number in range(8)]
    theirs = [KMeans(20, n_init=1, random_state=number).fit(points.numpy()).inertia_ for number in range(8)]
    lazy = [inertia(masked.k_means(points, points[number : number + 20])) for number in range(8)]
    assert np.median(ours) < 1.5 * np.median(theirs) < np.median(lazy)
    assert len(masked.seeds(points, 20, stream(0, "k", 0)).unique(dim=0)) == 20


def test_a_centre_without_points_stays():
    points = torch.tensor([[0.0], [1.0]])
    torch.testing.assert_close(masked.k_means(points, torch.tensor([[0.4], [100.0]])), torch.tensor([[0.5], [100.0]]))


def test_more_codes_than_patches_are_refused():
    flat = images(count=64)
    flat.pixels[:] = torch.randint(0, 2, (64, 1, 1, 1), dtype=torch.uint8) * 200
    with pytest.raises(ValueError, match="2 different patches for 16 codes"):
        MaskedToken(codes=16).plug(parts(vit(), train=flat))


def test_a_common_code_weighs_less():
    head = masked.CodeHead(vit(), torch.zeros(3, 4), torch.tensor([100, 4, 0]))
    torch.testing.assert_close(head.balance, torch.tensor([0.1, 0.5, 1.0]))


def test_the_class_means_are_taken_over_as_many_images_of_each_class():
    labels = torch.tensor([0] * 50 + [1] * 3 + [2] * 20)
    places = each_class(labels, 3, 30, stream(0, "means", 0))
    assert torch.bincount(labels[places]).tolist() == [10, 3, 10]
    assert len(places.unique()) == 23
