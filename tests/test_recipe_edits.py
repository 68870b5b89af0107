"""`--set` and the edits of the screen."""

import pytest
import recipe_catalog as cards

from cockpit import catalog
from cockpit.recipe import Change, RecipeError, changes, edit, loads, to_tree

BASE = """\
optimizer: {name: sgd, lr: 0.1, momentum: 0.5}
schedule: {warmup_epochs: 2, floor: 0.1}
model: {name: mlp, activation: leaky_relu, widths: [3]}
tricks: {mix_up: {alpha: 1}, random_flip: off}
"""


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "catalog", lambda: cards.CARDS)


def made(*edits: str) -> list[str]:
    """The changes that edits make, by `--set` and, where there is one, by the screen's way."""
    old = loads(BASE)
    new = loads(BASE, edits=edits)
    if len(edits) == 1:
        path, _, value = edits[0].partition("=")
        assert edit(old, path, value) == new
    return [f"{change.path}={change.new}" for change in changes(old, new)]


@pytest.mark.parametrize(
    ("edits", "result"),
    [
        (["optimizer.lr=1e-2"], ["optimizer.lr=0.01"]),
        (["optimizer.lr=0.2", "optimizer.lr=0.3"], ["optimizer.lr=0.3"]),
        (["optimizer=adam"], ["optimizer={name: adam, lr: 0.001, weight_decay: 0.0, betas: [0.9, 0.999]}"]),
        (["optimizer.name=adam"], ["optimizer={name: adam, lr: 0.001, weight_decay: 0.0, betas: [0.9, 0.999]}"]),
        (["optimizer=sgd"], ["optimizer.lr=0.05", "optimizer.momentum=0.9"]),
        (["schedule=constant"], ["schedule={name: constant, warmup_epochs: 2.0, warmup_from: 0.01}"]),
        (["model.activation=relu"], ["model.activation=relu"]),
        (["model.activation.name=relu"], ["model.activation=relu"]),
        (["model.activation.negative_slope=0.5"], ["model.activation.negative_slope=0.5"]),
        (["model.activation={name: leaky_relu, negative_slope: 0}"], ["model.activation.negative_slope=0.0"]),
        (["model.norm=none", "model.widths=[1, 2]"], ["model.norm=none", "model.widths=[1, 2]"]),
        (["tricks.mixup=off"], ["tricks.mixup=off"]),
        (["tricks.mixup=on"], []),
        (["tricks.mixup=off", "tricks.mixup=on"], ["tricks.mixup.alpha=0.2"]),
        (["tricks.mixup.alpha=0.4"], ["tricks.mixup.alpha=0.4"]),
        (["tricks.random_flip=on"], ["tricks.random_flip=on"]),
        (["tricks.weight_ema=on"], ["tricks.weight_ema=on"]),
        (["tricks.weight_ema.every=3"], ["tricks.weight_ema={decay: 0.999, every: 3, start: null}"]),
        (["tricks=null"], ["tricks.mixup=off"]),
        (["flags.dead_relu=off"], ["flags.dead_relu=off"]),
        (["flags.overfitting.patience=9"], ["flags.overfitting.patience=9"]),
        (["flags.overfitting.patience=9", "flags.overfitting=on"], ["flags.overfitting.patience=9"]),
        (["data.limit=50", "data.limit="], []),
        (["train={epochs: 3}"], ["train.epochs=3"]),
        (["about=Hello you", "seed=7"], ["about=Hello you", "seed=7"]),
    ],
)
def test_edit(edits: list[str], result: list[str]) -> None:
    assert made(*edits) == result


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("optimizer.lr", "--set: expected path=value, such as optimizer.lr=0.1, got 'optimizer.lr'"),
        ("=3", "--set: expected a path such as optimizer.lr, got ''"),
        ("a..b=1", "--set a..b: expected a path such as optimizer.lr, got 'a..b'"),
        ("optimizer.lr=fast", "--set optimizer.lr: expected a number above 0, got 'fast'"),
        ("optmizer.lr=1", "--set optmizer.lr: unknown key 'optmizer'; did you mean 'optimizer'?"),
        ("optimizer.momentun=1", "--set optimizer.momentun: optimizer: unknown key 'momentun'; did you mean 'momentum'?"),
        ("lr=0.1", "--set lr: unknown key 'lr'; it belongs at optimizer.lr"),
        ("optimizer=adamm", "--set optimizer: unknown optimizer 'adamm'; did you mean 'adam'?"),
        ("tricks.mixup.alpa=1", "--set tricks.mixup.alpa: tricks.mixup: unknown key 'alpa'; did you mean 'alpha'?"),
        ("tricks.mixpu=on", "--set tricks.mixpu: tricks: unknown trick 'mixpu'; did you mean 'mixup'?"),
        ("optimizer.lr.x=1", "--set optimizer.lr.x: optimizer.lr: expected a number above 0, got a mapping"),
        ("seed=[", "--set seed: this is not YAML: expected the node content, but found '<stream end>'"),
        ("seed=*x", "--set seed: the alias '*x' is not read; write the value out"),
        ("data.source=folder", "--set data.source: data: the knob 'path' is missing, expected text; the folder"),
        ("optimizer.nesterov=on", None),
    ],
)
def test_wrong_edit(text: str, says: str | None) -> None:
    if says is None:
        assert loads(BASE, edits=[text]).optimizer == cards.Sgd(lr=0.1, momentum=0.5, nesterov=True)
        return
    with pytest.raises(RecipeError) as caught:
        loads(BASE, "my.yaml", [text])
    assert str(caught.value) == says


def test_faults_of_file_and_edits_come_together() -> None:
    with pytest.raises(RecipeError) as caught:
        loads("seed: x\ntrain: {epochs: 0}\n", "my.yaml", ["optimizer.lr=-1", "nonsense", "train.epochs=2"])
    assert str(caught.value).splitlines() == [
        "my.yaml:1:7: seed: expected a whole number from 0 to 4,294,967,295, got 'x'",
        "--set: expected path=value, such as optimizer.lr=0.1, got 'nonsense'",
        "--set optimizer.lr: expected a number above 0, got -1",
    ]


def test_an_edit_mends_a_file() -> None:
    assert loads("optimizer: {lr: fast}", edits=["optimizer.lr=0.1"]).optimizer == cards.Sgd(lr=0.1)


@pytest.mark.parametrize("text", ["tricks.cutmix=on", "tricks.cutmix.alpha=2"])
def test_conflict_points_at_the_edit(text: str) -> None:
    path, _, value = text.partition("=")
    reason = "a batch is mixed once; switch off tricks.cutmix or tricks.mixup"
    with pytest.raises(RecipeError) as caught:
        loads("tricks:\n  cutmix: off\n  mixup: on\n", "my.yaml", [text])
    assert str(caught.value).endswith(f"cutmix cannot run with mixup (tricks.mixup, line 3): {reason}")
    assert caught.value.faults[0].file == f"--set {path}"
    with pytest.raises(RecipeError) as caught:
        edit(loads(BASE), path, value)
    assert str(caught.value).endswith(f"cutmix cannot run with mixup (tricks.mixup): {reason}")
    assert caught.value.faults[0].file == f"--set {path}"


def test_a_rule_that_an_edit_breaks_is_said() -> None:
    with pytest.raises(RecipeError, match="optimizer: nesterov needs a momentum above 0"):
        edit(loads("optimizer: {nesterov: on}"), "optimizer.momentum", "0")


def test_edit_leaves_the_old_recipe_alone() -> None:
    old = loads(BASE)
    before = to_tree(old)
    edit(old, "tricks.mixup.alpha", "3")
    assert to_tree(old) == before


def test_changes_say_what_is_live() -> None:
    old = loads(BASE)
    new = loads(
        BASE,
        edits=[
            *("optimizer.lr=0.2", "optimizer.nesterov=on", "schedule.floor=0", "train.epochs=3", "tricks.mixup=off"),
            *("tricks.weight_ema.every=3", "tricks.random_flip=on", "seed=1"),
        ],
    )
    assert changes(old, new) == (
        Change("seed", "0", "1", False),
        Change("optimizer.lr", "0.1", "0.2", True),
        Change("optimizer.nesterov", "off", "on", False),
        Change("schedule.floor", "0.1", "0.0", True),
        Change("train.epochs", "10", "3", False),
        Change("tricks.mixup", "{alpha: 1.0, per: batch}", "off", True),
        Change("tricks.random_flip", "off", "on", True),
        Change("tricks.weight_ema", "off", "{decay: 0.999, every: 3, start: null}", False),
    )
    slower = loads(BASE, edits=["tricks.weight_ema.every=4"])
    faster = edit(slower, "tricks.weight_ema.every", "2")
    assert changes(slower, faster) == (Change("tricks.weight_ema.every", "4", "2", True),)
    assert changes(old, old) == ()
