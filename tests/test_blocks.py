"""Images made for several steps at once are those of each step alone, whatever happens to a batch on its way."""

import pytest
import torch
from conftest import TINY
from kit import COLOUR, DIGITS, images

from cockpit.datasets.base import Places
from cockpit.datasets.places import data_root
from cockpit.engine import blocks
from cockpit.engine.assemble import assemble
from cockpit.engine.distributed import World
from cockpit.engine.distributed_team import Team
from cockpit.engine.feed import shuffled
from cockpit.engine.loop import take_step
from cockpit.engine.recorder import Recorder
from cockpit.recipe import loads


def plain(feed, places):
    """What a reader would write."""
    x = feed.pixels[places].float() * feed.scale
    return x, (x - feed.mean) / feed.std, feed.labels[places]


def followed(feed, batch_size=32, drop_last=False):
    return feed.follow(shuffled(len(feed), batch_size, seed=0, epoch=0, drop_last=drop_last))


@pytest.mark.parametrize(("task", "size"), [(DIGITS, 32), (COLOUR, 7), (COLOUR, 16), (DIGITS, 1)])
def test_every_batch_is_what_it_would_be_alone(task, size):
    feed = images(task, 300)
    seen = []
    for places in followed(feed, size):
        raw, ready, labels = plain(feed, places)
        batch = feed.take(places)
        assert torch.equal(batch.x, raw) and torch.equal(batch.y, labels) and torch.equal(batch.ids, places)
        assert torch.equal(feed.standardise(batch).x, ready)
        assert batch.x.data_ptr() % 64 == 0 and batch.x.is_contiguous()
        seen += places.tolist()
    assert sorted(seen) == list(range(300))


def test_several_batches_are_made_at_once(monkeypatch):
    feed, made = images(DIGITS, 320), []
    monkeypatch.setattr(type(feed), "_made", lambda self, ids: made.append(len(ids)) or plain(self, ids)[::2])
    for places in followed(feed):
        feed.clean(places)
    assert made == [320]
    monkeypatch.setattr(blocks, "BLOCK", 64 * 100)
    for places in followed(feed):
        feed.clean(places)
    assert made[1:] == [96, 96, 96, 32]


def test_a_batch_that_is_changed_in_place_changes_no_other_and_comes_afresh_when_asked_for_again():
    feed = images(DIGITS, 160)
    for number, places in enumerate(followed(feed)):
        raw, ready, _ = plain(feed, places)
        batch = feed.take(places)
        assert torch.equal(batch.x, raw)
        if number % 2:  # a trick that stands before standardising
            batch.x.mul_(0.5)
            assert torch.equal(feed.standardise(batch).x, (raw * 0.5 - feed.mean) / feed.std)
        else:  # one that stands after it
            done = feed.standardise(batch)
            done.x.zero_()
            assert torch.equal(feed.standardise(batch).x, ready), "who asks twice gets a copy of their own"
        assert torch.equal(feed.take(places).x, raw), "a step that is repeated"
        halves = torch.cat([feed.clean(part).x for part in places.split(16)])
        assert torch.equal(halves, ready), "a step that is repeated in halves"


def test_places_that_were_not_announced_and_an_order_that_interrupts_another():
    feed = images(DIGITS, 200)
    order, other = followed(feed), followed(feed, 8)
    for places in order:
        for asked in (places, torch.arange(5), torch.arange(400).view(2, 200)[0, 3:9], next(other)):
            assert torch.equal(feed.clean(asked).x, plain(feed, asked)[1])
    assert next(other, None) is not None


def test_gradients_through_one_batch_survive_changes_to_the_next():
    feed = images(DIGITS, 64)
    weight = torch.ones(64, requires_grad=True)
    first, second = (feed.clean(places) for places in followed(feed))
    loss = (first.x.flatten(1) @ weight).sum()
    second.x.zero_()
    loss.backward()
    torch.testing.assert_close(weight.grad, first.x.flatten(1).sum(0))


TRICKS = "tricks={mixup: on, random_crop: {pad: 1}, random_erasing: on, gaussian_noise: on}"


def job_of(*edits):
    job, _ = assemble(loads(TINY, edits=edits), Places(root=data_root()))
    job.model.train()
    return job


def trained(job, change=None):
    """Two epochs; after the third step the tricks change, as they do when a user switches one on."""
    recorder = Recorder(lambda steps, layers: None)
    for _ in range(2):
        for places in job.rest_of_epoch():
            take_step(job, places, recorder)
            if change and job.step == 3:
                job.rewire(loads(TINY, edits=(change,)))
    return job.model.state_dict()


@pytest.mark.parametrize(("before", "after"), [((), None), ((TRICKS,), None), ((), TRICKS), ((TRICKS,), "seed=0")])
def test_a_run_is_the_same_with_and_without_blocks(before, after, monkeypatch):
    ours = trained(job_of(*before), after)
    monkeypatch.setattr(blocks, "BLOCK", 0)
    theirs = trained(job_of(*before), after)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_each_process_gets_its_slice_of_the_same_images(monkeypatch):
    monkeypatch.setattr("cockpit.engine.distributed_team._seed", lambda *_: None)
    whole = job_of()
    members = [job_of() for _ in range(2)]
    for rank, job in enumerate(members):
        job.team = Team(World(rank=rank, size=2))
    for places, *theirs in zip(whole.rest_of_epoch(), *(job.rest_of_epoch() for job in members), strict=True):
        together = torch.cat([job.batches(mine, job.moment())[0].x for job, mine in zip(members, theirs, strict=True)])
        assert torch.equal(together, plain(whole.train, places)[1])
        assert torch.equal(together, torch.cat([members[0].train.clean(cut).x for cut in theirs[0].chunk(2)]))
