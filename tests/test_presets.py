"""The presets do what they say: the first flight arrives, and each sick one falls ill with its own flag."""

import pytest

from cockpit.cli.progress import line_of
from cockpit.judge import replay
from cockpit.recipe import load, presets
from cockpit.runs import events as ev
from cockpit.runs.history import RunReader, read_history

SICK = ("overfitting", "dead_relu", "exploding")


@pytest.mark.parametrize("preset", presets(), ids=lambda preset: preset.name)
def test_it_decodes_and_says_what_it_is_for(preset):
    assert preset.about and load(preset.name).about == preset.about


def raised(history):
    return {found.id for found in history.findings if isinstance(found, ev.Flagged) and found.severity != "info"}


def fly_preset(fly, name):
    from cockpit.recipe import dump

    return fly(dump(load(name)), name=name)


def test_first_flight_arrives_above_97_percent_and_silent(fly):
    flight = fly_preset(fly, "first_flight")
    history = read_history(flight.run)
    assert flight.end.state == "finished"
    assert history.best.val_accuracy >= 0.97
    assert raised(history) == set()


@pytest.mark.parametrize("flag", SICK)
def test_a_sick_preset_raises_its_own_flag(fly, flag):
    flight = fly_preset(fly, f"sick_{flag}")
    history = read_history(flight.run)
    wanted = {"exploding": "exploding_gradient"}.get(flag, flag)
    assert wanted in raised(history)
    (first,) = [found for found in history.findings if isinstance(found, ev.Flagged) and found.id == wanted][:1]
    assert first.evidence and first.remedies and first.why
    # Rules are pure: a replay of the record finds what the live run found.
    again = replay(history, load(f"sick_{flag}").flags.values())
    assert [(found.id, found.step, type(found)) for found in again] == [(f.id, f.step, type(f)) for f in history.findings]


def test_the_first_remedy_of_a_sick_run_can_be_decoded(fly):
    from cockpit.recipe import edit

    for flag in SICK:
        recipe = load(f"sick_{flag}")
        for found in read_history(fly_preset(fly, f"sick_{flag}").run).findings:
            for remedy in getattr(found, "remedies", ()):
                changed = recipe
                for path, value in remedy.edits:
                    changed = edit(changed, path, value)
                assert changed != recipe or remedy.verb, remedy.label


def test_the_lines_of_a_log_tell_the_run(fly):
    reader = RunReader(fly_preset(fly, "sick_exploding").run)
    text = "\n".join(line_of(event) for event in reader.poll())
    assert "critical: non_finite" in text and "failed at step" in text and "the loss became nan" in text
