"""Several finished runs at once: ensembles by hand, soups against numpy, statistics against torch's own."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import TINY
from torch import Tensor, nn

from cockpit.engine.across import kept, soup
from cockpit.engine.across.ensemble import AcrossError, Voice, check, combined, ensemble, fitted, voice
from cockpit.engine.preview import of_run
from cockpit.engine.reopen import Reopened, ReopenError, reopen
from cockpit.engine.testing import look
from cockpit.host.flight import Flight
from cockpit.launch import new_run
from cockpit.nets.statistics import refresh_batch_norm
from cockpit.recipe import edit, loads
from cockpit.runs.directory import RunDir, RunError
from cockpit.runs.history import read_history
from cockpit.runs.summary import summarise

CNN = TINY.replace("{name: mlp, widths: [16], norm: none}", "{name: small_cnn, widths: [16, 32], convs: 1, norm: batch}")
LONGER = ("train.epochs=12", "train.batch_size=16")
VARIANTS = {
    "fast": (CNN, *LONGER),
    "slow": (CNN, *LONGER, "optimizer.lr=0.03"),
    "smooth": (CNN, *LONGER, "tricks.label_smoothing=on"),
    "elsewhere": (CNN, *LONGER, "seed=1"),
    "flat": (TINY,),
    "split": (TINY, "data.split_seed=1"),
    "other": (TINY, "data={source: synthetic, size: 8, train: 100, test: 20}"),
    "sigmoid": (TINY, "loss=bce"),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], RunDir]:
    """A finished run of that name, trained when it is first asked for."""
    torch.set_num_threads(1)
    root, done = tmp_path_factory.mktemp("trained"), {}

    def run_of(name: str) -> RunDir:
        if name not in done:
            text, *edits = VARIANTS[name]
            done[name] = new_run(loads(text, edits=edits), root, name, allow_code=False, command=[])
            flight = Flight(done[name], say=lambda text: None)
            flight.fly()
            assert flight.end and flight.end.state == "finished", flight.end
        return done[name]

    return run_of


@pytest.fixture
def opened(trained: Callable[[str], RunDir]) -> Callable[..., list[Reopened]]:
    return lambda *names: [reopen(trained(name)) for name in names]


@pytest.mark.parametrize(
    "edits",
    [
        (),
        ("tricks={weight_ema: {decay: 0.9}}",),
        ("tricks={tta: {views: shift}, mixup: on}",),
        ("tricks={swa: {start: 0.3}}",),
        ("tricks={lookahead: on, recalibrate_bn: on}",),
        ("optimizer={name: schedule_free, lr: 0.1, base: sgd}",),
        ("loss=cosine", "data.standardise=none"),
    ],
)
def test_a_reopened_run_scores_what_was_recorded(edits: tuple[str, ...], fly: Any):
    flight = fly(CNN, *edits)
    again, best = reopen(flight.run), read_history(flight.run).best
    assert best and again.step == best.step
    seen = again.validate()
    assert (seen.accuracy, seen.loss) == (best.val_accuracy, pytest.approx(best.val_loss, rel=1e-6))


def test_a_reopened_run_has_the_live_edits_of_the_run(fly: Any):
    from cockpit.runs.mailbox import Command

    flight = Flight(new_run(loads(TINY), Path(fly().run.path).parent, "edited", allow_code=False, command=[]), say=print)
    flight.control.post(Command("edit", {"path": "optimizer.lr", "value": "0.05"}))
    flight.control.post(Command("edit", {"path": "model.widths", "value": "[9]"}))
    flight.fly()
    recipe = reopen(flight.run).job.recipe
    assert (recipe.optimizer.lr, recipe.model.widths) == (0.05, (16,))  # type: ignore[attr-defined]


def test_what_cannot_be_reopened_is_a_sentence(fly: Any, tmp_path: Path):
    run = fly().run
    best = torch.load(run.checkpoint("best"), weights_only=True)
    run.recipe.write_text(run.recipe.read_text().replace("[16]", "[17]"))
    with pytest.raises(ReopenError, match="does not fit this recipe"):
        reopen(run)
    net = tmp_path / "net.py"
    net.write_text("def build(**_):\n    raise KeyError('no such layer')\n")
    lines = [line for line in TINY.splitlines() if not line.startswith("model")]
    run.recipe.write_text("\n".join([*lines, f"model: {{name: file, path: {net}}}"]))
    run.launch.write_text('{"allow_code": true}')
    with pytest.raises(ReopenError, match="no such layer"):
        reopen(run)
    run.checkpoint("best").unlink()
    with pytest.raises(ReopenError, match=r"there is no checkpoint best\.pt yet"):
        reopen(run)
    assert best["step"] > 0


def said(name: str, probabilities: list[list[float]], labels: list[int], **other: Any) -> Voice:
    values = {"split": "s", "classes": ("a", "b", "c"), "params": 10, **other}
    run = RunDir(Path(f"2026-01-01_000000_{name}_{name}"))
    return Voice(run=run, label=run.id, probabilities=torch.tensor(probabilities), labels=torch.tensor(labels), **values)


ONE = said("one", [[0.8, 0.1, 0.1], [0.3, 0.6, 0.1], [0.2, 0.3, 0.5]], [0, 0, 1])
TWO = said("two", [[0.2, 0.7, 0.1], [0.5, 0.4, 0.1], [0.1, 0.8, 0.1]], [0, 0, 1], params=30)
THREE = said("three", [[0.4, 0.3, 0.3], [0.1, 0.1, 0.8], [0.0, 0.0, 1.0]], [0, 0, 1])


def test_the_mean_of_probabilities_and_that_of_their_logs_by_hand():
    voices, shares = [ONE, TWO], (0.25, 0.75)
    p, q = ONE.probabilities.double().numpy(), TWO.probabilities.double().numpy()
    np.testing.assert_allclose(combined(voices, "probabilities", shares), 0.25 * p + 0.75 * q, rtol=1e-12)
    product = p**0.25 * q**0.75
    np.testing.assert_allclose(combined(voices, "logits", shares), product / product.sum(1, keepdims=True), rtol=1e-9)
    sure = combined([ONE, THREE], "logits", (0.5, 0.5))
    assert sure.isfinite().all() and sure[2].argmax() == 2


def test_a_vote_goes_to_the_majority_and_a_tie_to_the_larger_mean():
    majority = combined([ONE, TWO, said("four", [[0.1, 0.6, 0.3]] * 3, [0, 0, 1])], "vote", (1 / 3,) * 3)
    assert majority.argmax(1).tolist() == [1, 1, 1]
    assert majority[0].tolist() == pytest.approx([1 / 3, 2 / 3, 0], abs=1e-5)
    tie = combined([ONE, TWO], "vote", (0.5, 0.5))
    assert tie.argmax(1).tolist() == [0, 1, 1], "means .5 / .4, .4 / .5 and .55 / .3 of the two that were voted for"
    weighted = combined([ONE, TWO], "vote", (0.4, 0.6))
    assert weighted.argmax(1).tolist() == [1, 0, 1]
    assert torch.allclose(weighted.sum(1), torch.ones(3, dtype=torch.float64))


def log_loss(voices: list[Voice], weights: Any) -> float:
    mixed = combined(voices, "probabilities", weights).gather(1, voices[0].labels[:, None])
    return float(-mixed.log().mean())


def test_fitted_weights_are_the_best_of_all_mixtures():
    draw = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (200,), generator=draw)
    sharp = nn.functional.one_hot(labels, 3) * torch.tensor([1.5, 0.8, 0.1])[:, None, None]
    logits = sharp + torch.randn(3, 200, 3, generator=draw)
    voices = [said(str(i), each.softmax(1).tolist(), labels.tolist()) for i, each in enumerate(logits)]
    weights = fitted(voices)
    assert sum(weights) == pytest.approx(1) and min(weights) >= 0 and weights[0] > weights[1] > weights[2]
    least = log_loss(voices, weights)
    assert least < log_loss(voices, (1 / 3,) * 3) - 0.01
    for more in range(3):
        for less in {0, 1, 2} - {more}:
            for step in (0.001, 0.01, 0.1):
                moved = np.array(weights)
                moved[[more, less]] += min(step, moved[less]) * np.array([1, -1])
                assert log_loss(voices, moved) > least - 1e-6


def test_the_report_by_scikit_learn():
    from sklearn.metrics import accuracy_score
    from sklearn.metrics import log_loss as sklearn_log_loss

    report = ensemble([ONE, TWO, THREE])
    truth = [0, 0, 1]
    for row, one in zip(report.members, (ONE, TWO, THREE), strict=True):
        p = one.probabilities.double().numpy()
        p /= p.sum(1, keepdims=True)
        assert row.accuracy == accuracy_score(truth, p.argmax(1))
        if one is not THREE:
            assert row.log_loss == pytest.approx(sklearn_log_loss(truth, p, labels=[0, 1, 2]), rel=1e-6)
    mixed = np.mean([one.probabilities.double().numpy() for one in (ONE, TWO, THREE)], axis=0)
    mixed /= mixed.sum(1, keepdims=True)
    assert report.ensemble.accuracy == accuracy_score(truth, mixed.argmax(1))
    assert report.ensemble.log_loss == pytest.approx(sklearn_log_loss(truth, mixed, labels=[0, 1, 2]), rel=1e-6)
    assert (report.mean.params, report.ensemble.params, report.images) == (16, 50, 3)
    assert report.mean.accuracy == pytest.approx(np.mean([row.accuracy for row in report.members]))
    # answers 0 1 2, 1 0 1, 0 2 2: the pairs differ on 3, 1 and 3 of the three images
    assert report.disagreement == pytest.approx((3 + 1 + 3) / 9)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (said("x", [[1.0, 0, 0]] * 3, [0, 0, 1], split="t"), "runs one and x have different validation images"),
        (said("x", [[1.0, 0, 0]] * 3, [0, 0, 1], classes=("b", "a", "c")), "do not name the same classes in the same order"),
    ],
)
def test_voices_that_cannot_be_compared_are_refused(other: Voice, words: str):
    with pytest.raises(AcrossError, match=words):
        check([ONE, TWO, other])


def test_members_of_any_structure_and_loss_are_asked_about_the_same_images(opened: Callable[..., list[Reopened]]):
    voices = [voice(member) for member in opened("fast", "flat", "sigmoid")]
    assert len({one.split for one in voices}) == 1
    report = ensemble(voices, "logits")
    assert report.images == len(voices[0].labels) and report.ensemble.accuracy > 0.5
    alone = combined(voices[2:], "logits", (1.0,))
    torch.testing.assert_close(alone, voices[2].probabilities.double(), rtol=1e-5, atol=1e-9)
    with pytest.raises(AcrossError, match="different validation images"):
        check([voices[0], voice(*opened("split"))])
    with pytest.raises(AcrossError, match="same classes"):
        check([voices[0], voice(*opened("other"))])


def numpy_mean(states: list[dict[str, Tensor]], name: str) -> Any:
    return np.mean([state[name].numpy().astype(np.float64) for state in states], axis=0)


def test_an_average_is_that_of_numpy_and_integers_are_those_of_the_first():
    states = [{"w": torch.randn(3, 4), "half": torch.randn(5).half(), "n": torch.tensor(i + 7)} for i in range(3)]
    mixed = soup.average(states)
    np.testing.assert_allclose(mixed["w"], numpy_mean(states, "w"), rtol=1e-6)
    assert mixed["half"].dtype == torch.float16 and mixed["n"] == 7 and mixed["n"].data_ptr() != states[0]["n"].data_ptr()
    shares = soup.average(states, [0.5, 0.25, 0.25])["w"]
    np.testing.assert_allclose(
        shares, sum(s * state["w"].numpy() for s, state in zip((0.5, 0.25, 0.25), states, strict=True)), rtol=1e-5
    )
    assert torch.equal(soup.average(states, [0, 1, 0])["w"], states[1]["w"])


@pytest.mark.parametrize("sizes", [(32, 32, 32), (32, 32, 7), (32, 1)])
@pytest.mark.parametrize("norm", ["batch", "ghost_batch", "split_batch"])
def test_refreshed_statistics_are_those_of_torch(norm: str, sizes: tuple[int, ...]):
    from torch.optim.swa_utils import update_bn

    from cockpit.travel import Task

    model, twin = (loads(CNN, edits=[f"model.norm={norm}"]).model.build(Task(1, 8, 8, 10)) for _ in range(2))
    twin.load_state_dict(model.state_dict())
    batches = [torch.randn(size, 1, 8, 8) * (1 + i) + i for i, size in enumerate(sizes)]
    layers = [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d) or hasattr(layer, "momentum")]
    momenta = [layer.momentum for layer in layers]
    refresh_batch_norm(model, iter(batches))
    assert [layer.momentum for layer in layers] == momenta and not any(module.training for module in model.modules())
    if len(set(sizes)) == 1:
        update_bn(batches, twin)
        for name, value in model.state_dict().items():
            torch.testing.assert_close(value, twin.state_dict()[name], msg=name)
    elif norm == "batch":
        many = [batch for batch in batches if len(batch) > 1]
        first, total = next(layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)), sum(map(len, many))
        inputs = [next(layer for layer in twin.modules() if isinstance(layer, nn.Conv2d))(batch) for batch in many]
        mean = sum(len(x) * x.mean((0, 2, 3)) for x in inputs) / total
        var = sum(len(x) * x.var((0, 2, 3)) for x in inputs) / total
        torch.testing.assert_close(first.running_mean, mean.detach())
        torch.testing.assert_close(first.running_var, var.detach())


def test_a_network_without_batch_norm_is_not_shown_anything():
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    refresh_batch_norm(model, ((_ for _ in ()).throw(AssertionError) for _ in range(1)))


def test_statistics_have_their_momentum_back_after_a_fault():
    model = nn.Sequential(nn.BatchNorm1d(4, momentum=0.3), nn.Linear(3, 2))
    with pytest.raises(RuntimeError):
        refresh_batch_norm(model, [torch.zeros(5, 4)])
    assert model[0].momentum == 0.3 and not model[0].training


def test_runs_of_one_seed_have_one_root_and_another_seed_has_another(opened: Callable[..., list[Reopened]]):
    fast, slow, smooth, elsewhere = opened("fast", "slow", "smooth", "elsewhere")
    assert fast.job.root == slow.job.root == smooth.job.root != elsewhere.job.root
    assert not torch.equal(*(one.job.model.state_dict()["head.weight"] for one in (fast, slow)))


def test_unlike_runs_make_no_soup(opened: Callable[..., list[Reopened]], fly: Any):
    fast, elsewhere, flat = opened("fast", "elsewhere", "flat")
    for make in (soup.uniform, soup.greedy):
        with pytest.raises(AcrossError, match=f"runs {fast.run.id} and {elsewhere.run.id} have no common root.*--any-root"):
            make([fast, elsewhere])
        with pytest.raises(AcrossError, match="have different networks"):
            make([fast, flat], any_root=True)
    halved = reopen(fly(CNN, "data.val=0.2", "train.epochs=1").run)
    with pytest.raises(AcrossError, match="have different data"):
        soup.uniform([fast, halved])


def by_hand(members: list[Reopened], shares: list[float]) -> tuple[float, float]:
    """Accuracy and loss of a mean of weights, with numpy and torch's update_bn."""
    import copy

    from torch.optim.swa_utils import update_bn

    job = members[0].job
    model = copy.deepcopy(job.model)
    states = [member.job.model.state_dict() for member in members]
    mixed = {
        name: torch.as_tensor(np.average([state[name].double().numpy() for state in states], axis=0, weights=shares)).to(value)
        for name, value in states[0].items()
    }
    model.load_state_dict(mixed)
    update_bn((job.train.clean(places).x for places in job.clean_places()), model)
    model.eval()
    with torch.no_grad():
        logits = model(job.val.clean(torch.arange(len(job.val))).x)
    right = logits.argmax(1) == job.val.labels
    return float(right.double().mean()), float(nn.functional.cross_entropy(logits, job.val.labels))


def test_a_uniform_soup_is_the_mean_of_all(opened: Callable[..., list[Reopened]]):
    members = opened("fast", "slow", "smooth")
    before = {name: value.clone() for name, value in members[0].job.model.state_dict().items()}
    made = soup.uniform(members)
    accuracy, loss = by_hand(members, [1, 1, 1])
    assert (made.taste.accuracy, made.taste.loss) == (accuracy, pytest.approx(loss, rel=1e-4))
    assert made.taste.members == tuple(one.run.id for one in members)
    states = [one.job.model.state_dict() for one in members]
    np.testing.assert_allclose(made.state["head.weight"], numpy_mean(states, "head.weight"), rtol=1e-6)
    assert all(torch.equal(value, before[name]) for name, value in members[0].job.model.state_dict().items())
    assert not np.allclose(made.state["conv1_1_norm.running_mean"], numpy_mean(states, "conv1_1_norm.running_mean"), rtol=1e-3)


def test_a_greedy_soup_takes_what_does_not_hurt(opened: Callable[..., list[Reopened]]):
    members = opened("slow", "elsewhere", "fast", "smooth")
    made = soup.greedy(members, any_root=True)
    alone = [by_hand([one], [1]) for one in members]
    order = sorted(range(4), key=lambda i: (-alone[i][0], alone[i][1]))
    chosen, best, tries = [order[0]], alone[order[0]][0], []
    for i in order[1:]:
        tries.append(by_hand([members[j] for j in [*chosen, i]], [1] * (len(chosen) + 1))[0])
        if tries[-1] >= best:
            chosen, best = [*chosen, i], tries[-1]
    assert [one.accuracy for one in made.members] == [accuracy for accuracy, _ in alone]
    assert [one.accuracy for one in made.tries] == tries
    assert made.taste.members == tuple(members[i].run.id for i in chosen) and made.taste.accuracy == best
    assert 1 <= len(chosen) < 4, "the run from another root must not have joined"
    assert members[1].run.id not in made.taste.members


def test_the_mean_of_unlike_roots_drops_and_the_line_ends_at_the_members(opened: Callable[..., list[Reopened]]):
    members = opened("fast", "elsewhere")
    made = soup.uniform(members, any_root=True)
    line = dict(soup.line(members))
    assert line[0] == made.members[0].accuracy and line[1] == made.members[1].accuracy and line[0.5] == made.taste.accuracy
    assert made.taste.accuracy < min(line[0], line[1]) - 0.15
    near = dict(soup.line(opened("fast", "slow")))
    assert near[0.5] > min(near[0], near[1]) - 0.05, "from one root there is no barrier"


def test_a_soup_is_a_run_like_any(opened: Callable[..., list[Reopened]], runs: Path):
    members = opened("fast", "slow")
    made = soup.uniform(members)
    run = kept.keep(made, members, runs, "broth", ["cockpit", "soup"])
    shown = summarise(run)
    assert (shown["name"], shown["state"], shown["best"]["val_accuracy"]) == ("broth", "finished", made.taste.accuracy)
    assert all(one.run.id in read_history(run).notes[0].text for one in members)
    again = reopen(run)
    assert again.validate().accuracy == made.taste.accuracy and again.job.root == members[0].job.root
    assert all(torch.equal(value, made.state[name]) for name, value in again.job.model.state_dict().items())
    assert look(run)["looks"] == 1
    assert ensemble([voice(again), voice(members[0])]).images == again.job.val.labels.numel()
    assert soup.uniform([again, members[0]]).taste.accuracy > 0.5
    assert len(of_run(run, 3)) == 3
    tuned = new_run(edit(loads(CNN), "tricks.fine_tune", f"{{run: {run.path}}}"), runs, "tuned", allow_code=False, command=[])
    flight = Flight(tuned, say=print)
    flight.fly()
    assert flight.end and flight.end.state == "finished", flight.end
    assert flight.job and flight.job.root != members[0].job.root, "a soup is a root of its own"


def test_a_soup_that_cannot_be_written_is_a_sentence(opened: Callable[..., list[Reopened]], tmp_path: Path):
    members = opened("fast", "slow")
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError):
        kept.keep(soup.uniform(members), members, tmp_path / "file", "broth", [])
    assert math.isfinite(members[0].validate().loss)
