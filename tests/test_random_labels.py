"""Random labels: of the training split alone, drawn once."""

import pytest
import torch
from kit import DIGITS, images, parts
from torch import nn

from cockpit.recipe import RecipeError, loads
from cockpit.recipe.conflicts import cautions
from cockpit.tricks.random_labels import RandomLabels


@pytest.mark.parametrize("fraction", [0.0, 0.3, 1.0])
def test_a_share_of_the_labels_is_drawn_anew_from_all_classes(fraction: float) -> None:
    train = images(DIGITS, 5000)
    before = train.labels.clone()
    after = RandomLabels(fraction=fraction).plug(parts(nn.Identity(), train=train)).dataset(train)
    changed = (after.labels != before).double().mean().item()
    assert changed == pytest.approx(0.9 * fraction, abs=0.02)  # one draw in ten is the label that was there
    assert torch.equal(train.labels, before) and after.pixels is train.pixels and after.labels.dtype == torch.int64
    if fraction == 1:
        table = torch.bincount(before * 10 + after.labels, minlength=100)
        assert table.min() > 20 and table.max() < 90  # 50 expected of each pair: independent of the true label


def test_the_draw_is_the_same_at_every_start() -> None:
    train = images(DIGITS, 500)
    first, second = (RandomLabels(fraction=0.5).plug(parts(nn.Identity(), train=train)).dataset(train) for _ in range(2))
    assert torch.equal(first.labels, second.labels)


def test_validation_is_not_to_be_listened_to() -> None:
    with pytest.raises(RecipeError, match="validation keeps its true labels and would end the run"):
        loads("tricks: {random_labels: on, early_stopping: on}")
    assert any("training accuracy alone" in caution for caution in cautions(loads("tricks: {random_labels: on}")))


def test_only_the_training_split_is_relabelled(fly) -> None:
    from conftest import TINY

    plain, random = fly(TINY, name="plain").job, fly(TINY, "tricks.random_labels=on", name="random").job
    assert torch.equal(plain.val.labels, random.val.labels)
    assert 0.8 < (plain.train.labels != random.train.labels).double().mean().item() < 0.98
