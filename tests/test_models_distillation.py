"""Distillation: the loss by its formula, what the teacher sees, that it stays as it was, and whose head learns what."""

import math

import pytest
import torch
from choices import make, net
from conftest import TINY
from kit import DIGITS, batch, images, moment, parts
from test_loop import assert_same, stop_after, weights
from torch import Tensor, nn

from cockpit.catalog import toggles
from cockpit.host.flight import Flight
from cockpit.launch import new_run
from cockpit.nets.finished import finished
from cockpit.recipe import loads
from cockpit.travel import Outcome

PUPIL = TINY.replace("{name: mlp, widths: [16], norm: none}", "{name: small_cnn, widths: [8], convs: 1}")
DEIT = TINY.replace("{name: mlp, widths: [16], norm: none}", "{name: deit, dim: 12, depth: 1, heads: 3}")


def distillation(**knobs):
    return toggles()["distillation"].cls(**{"teacher": "teacher", **knobs})


@pytest.fixture
def teacher(fly) -> str:
    return str(fly(TINY, "train.epochs=1", name="teacher").run.path)


def by_hand(ours: Tensor, theirs: Tensor, form: str, temperature: float) -> float:
    """One image at a time, with exponentials and logarithms."""
    total = 0.0
    for mine, yours in zip(ours.tolist(), theirs.tolist(), strict=True):
        if form == "hard":
            total += math.log(sum(map(math.exp, mine))) - mine[yours.index(max(yours))]
            continue
        p, q = ([math.exp(value / temperature) for value in row] for row in (yours, mine))
        p, q = ([value / sum(row) for value in row] for row in (p, q))
        total += temperature**2 * sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    return total / len(ours)


@pytest.mark.parametrize(("form", "temperature"), [("hard", 3.0), ("soft", 3.0), ("soft", 1.0), ("soft", 0.5)])
def test_the_loss_by_hand(form, temperature):
    torch.manual_seed(0)
    ours, theirs = torch.randn(2, 6, 5, dtype=torch.float64)
    seen = distillation(form=form, temperature=temperature).against(ours, theirs)
    assert float(seen) == pytest.approx(by_hand(ours, theirs, form, temperature))
    equal = distillation(form="soft", temperature=temperature).against(theirs, theirs)
    assert float(equal) == pytest.approx(0, abs=1e-12)


def test_the_soft_loss_pulls_as_hard_at_every_temperature():
    """That is what the square of the temperature is for: Hinton et al. 2015, section 2.1."""
    torch.manual_seed(0)
    theirs = torch.randn(6, 5) * 0.1
    pulls = []
    for temperature in (10.0, 100.0):
        ours = torch.zeros(6, 5, requires_grad=True)
        distillation(form="soft", temperature=temperature).against(ours, theirs).backward()
        pulls.append(ours.grad.norm())
    torch.testing.assert_close(*pulls, rtol=1e-2, atol=0)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_the_teacher_sees_the_same_images_in_its_own_terms(teacher, weight):
    torch.manual_seed(0)
    pupil, train = net("mlp", widths=(8,)), images()
    plug = distillation(teacher=teacher, weight=weight, form="soft").plug(parts(pupil, train=train))
    raw = batch(train=train)
    seen = train.standardise(raw)
    own = finished(teacher, DIGITS)
    with torch.no_grad():
        answers = own.model((raw.x - own.mean) / own.std)
        logits = pupil(seen.x)
    torch.testing.assert_close(plug.answers(seen.x), answers, atol=1e-4, rtol=1e-4)
    taught = plug.objective(lambda batch, at: Outcome(torch.tensor(2.0), logits), pupil, nn.CrossEntropyLoss())
    loss, passed = taught(seen, moment())
    assert passed is logits
    assert float(loss) == pytest.approx((1 - weight) * 2 + weight * by_hand(logits, answers, "soft", 3.0), rel=1e-4)


def test_a_teacher_sees_smaller_images_at_its_own_size(teacher):
    plug = distillation(teacher=teacher).plug(parts(net("small_cnn")))
    assert plug.answers(torch.randn(3, 1, 6, 6)).shape == (3, 10)


@pytest.mark.parametrize("recipe", [PUPIL, DEIT])
def test_the_teacher_stays_as_it_was(teacher, fly, recipe):
    flight = fly(recipe, f"tricks.distillation.teacher={teacher}", "optimizer.weight_decay=0.1")
    assert flight.end.state == "finished", flight.end.reason
    taught = flight.job.wiring.plugs["distillation"]
    before = finished(teacher, DIGITS).model.state_dict()
    assert all(torch.equal(value, before[name]) for name, value in taught._teacher.state_dict().items())
    assert not taught._teacher.training and all(weight.grad is None for weight in taught._teacher.parameters())
    theirs = {id(weight) for weight in taught._teacher.parameters()}
    assert not theirs & {id(weight) for group in flight.job.optimizer.param_groups for weight in group["params"]}
    assert not any("teacher" in name for name in flight.job.model.state_dict())


@pytest.mark.parametrize("recipe", [PUPIL, DEIT])
def test_a_resume_equals_straight_through(teacher, fly, runs, recipe):
    edits = [f"tricks.distillation.teacher={teacher}"]
    straight = fly(recipe, *edits)
    run = new_run(loads(recipe, edits=edits), runs, "broken", allow_code=False, command=[])
    stop_after(Flight(run, say=print), 8).fly()
    second = Flight(run, resume=True, say=print)
    second.fly()
    assert_same(weights(straight), weights(second))


@pytest.mark.parametrize(("weight", "learns"), [(0.0, "head"), (1.0, "distilled_head")])
def test_in_a_deit_each_head_has_its_own_teacher(teacher, weight, learns):
    pupil = net("deit", dim=12, depth=1)
    plug = distillation(teacher=teacher, weight=weight).plug(parts(pupil))
    assert pupil.taught

    def inner(batch, at):
        logits = pupil(batch.x)
        return Outcome(nn.functional.cross_entropy(logits, batch.y), logits)

    loss, _ = plug.objective(inner, pupil, nn.CrossEntropyLoss())(images().standardise(batch()), moment())
    loss.backward()
    for name in ("head", "distilled_head"):
        moved = bool(pupil.get_submodule(name).weight.grad.any())
        assert moved == (name == learns), name
    x = torch.randn(2, 1, 8, 8)
    encoded = pupil.encode(x)
    mean = (pupil.head(encoded[:, 0]) + pupil.distilled_head(encoded[:, 1])) / 2
    torch.testing.assert_close(pupil.eval()(x), mean)
    plug.close()
    assert not pupil.taught


def test_a_pupil_that_hears_no_labels_answers_as_its_teacher(fly):
    teacher = fly(TINY, "train.epochs=20", name="old").run.path
    edits = [f"tricks.distillation={{teacher: {teacher}, weight: 1, form: soft}}", "train.epochs=20", "seed=1"]
    flight = fly(TINY, *edits)
    job, plug = flight.job, flight.job.wiring.plugs["distillation"]
    seen = job.train.clean(torch.arange(len(job.train)))
    with torch.no_grad():
        theirs, ours = plug.answers(seen.x), job.model.eval()(seen.x)
    assert (ours.argmax(1) == theirs.argmax(1)).float().mean() > 0.9


def test_what_cannot_teach_gets_a_sentence(teacher):
    with pytest.raises(ValueError, match="is called 'nobody'"):
        distillation(teacher="nobody").plug(parts(net("small_cnn")))
    with pytest.raises(ValueError, match="tells 10 classes apart, and this task has 7"):
        distillation(teacher=teacher).plug(parts(net("small_cnn", classes=7), DIGITS._replace(classes=7)))
    assert make("model", "deit").build(DIGITS).taught is False
