"""Weights kept at the end of epochs: as many as asked for, named `RUN@epoch`, averaged and ensembled like runs."""

import json

import torch
from conftest import TINY
from typer.testing import CliRunner

from cockpit.cli import app
from cockpit.engine import checkpoints
from cockpit.engine.reopen import reopen


def kept(run) -> list[str]:
    return sorted(path.stem for path in run.checkpoint("best").parent.glob("epoch_*.pt"))


def test_the_last_epochs_are_kept_and_no_more(fly) -> None:
    run = fly(TINY, "train.epochs=5", "train.keep=3").run
    assert kept(run) == ["epoch_00003", "epoch_00004", "epoch_00005"]
    assert kept(fly(TINY).run) == []


def test_what_is_kept_are_the_weights_that_were_scored(fly) -> None:
    run = fly(TINY, "train.epochs=3", "train.keep=3", "tricks.weight_ema=on").run
    last, average = checkpoints.load(run.checkpoint("last")), checkpoints.load(run.checkpoint("epoch_00003"))
    assert not torch.equal(last["model"]["fc1.weight"], average["model"]["fc1.weight"])
    assert torch.equal(last["tricks"]["weight_ema"]["fc1.weight"], average["model"]["fc1.weight"])
    assert (average["step"], reopen(run, "epoch_00003").label) == (18, f"{run.id}@3")


def test_kept_epochs_are_members_of_ensembles_and_soups(fly, runs) -> None:
    run = fly(TINY, "train.epochs=4", "train.keep=4").run
    names = [f"{run.id}@{epoch}" for epoch in (2, 3, 4)]
    together = CliRunner().invoke(app, ["ensemble", *names, "--json"])
    assert [row["name"] for row in json.loads(together.stdout)["members"]] == [f"test {name}" for name in names]
    averaged = json.loads(CliRunner().invoke(app, ["soup", *names, "--json"]).stdout)
    assert averaged["taste"]["members"] == names and averaged["taste"]["accuracy"] > 0.5
    mean = torch.stack([reopen(run, f"epoch_0000{epoch}").saved["model"]["head.weight"] for epoch in (2, 3, 4)]).mean(0)
    made = next(path for path in runs.iterdir() if path.name.endswith(averaged["id"]))
    assert torch.allclose(checkpoints.load(made / "checkpoints" / "best.pt")["model"]["head.weight"], mean, atol=1e-6)


def test_an_epoch_that_was_not_kept_is_named(fly, capsys) -> None:
    from cockpit.cli.base import words

    run = fly(TINY, "train.keep=1").run
    for name, said in ((f"{run.id}@1", "it has those of 2"), (f"{run.id}@9", "no weights of epoch 9")):
        try:
            with words():
                app(["ensemble", name, f"{run.id}@2"], standalone_mode=False)
        except SystemExit as end:
            assert end.code == 2
        assert said in capsys.readouterr().err
