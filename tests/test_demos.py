"""The demonstrations: what they claim, measured; and the command as a user types it."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import cockpit.cli.demos  # noqa: F401  (adds the command)
from cockpit.cli.base import app, words
from cockpit.demos import decision_map, demos, next_token_toy, optimizer_race
from cockpit.demos.causal import CausalAttention, NextCode, sample
from cockpit.demos.optimizer_race import LETTERS, LONGEST, RATES, TRIED, longest, tuned, walk
from cockpit.demos.panels import Page, Panel, ramp
from cockpit.demos.points import WINDOW, Points, drawn, pixels
from cockpit.demos.settings import decode
from cockpit.demos.surfaces import CROSS, SURFACES
from cockpit.recipe import RecipeError

silent = str  # takes a line and does nothing with it
SURFACE = pytest.mark.parametrize("surface", SURFACES.values(), ids=lambda surface: surface.name)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


# Surfaces and the race


@SURFACE
def test_the_gradient_is_that_of_the_surface(surface):
    left, right, bottom, top = surface.window
    draws, h = np.random.default_rng(0), 1e-5
    for x, y in zip(draws.uniform(left, right, 50), draws.uniform(bottom, top, 50), strict=True):
        across = (surface.at(x + h, y) - surface.at(x - h, y)) / (2 * h)
        upward = (surface.at(x, y + h) - surface.at(x, y - h)) / (2 * h)
        assert surface.slope(x, y) == pytest.approx((across, upward), rel=1e-6, abs=1e-7)


@SURFACE
def test_nothing_lies_below_the_goal(surface):
    left, right, bottom, top = surface.window
    grid = np.meshgrid(np.linspace(left, right, 300), np.linspace(bottom, top, 300))
    assert surface.value(*grid).min() >= surface.lowest - 1e-8
    assert surface.slope(*surface.goal) == pytest.approx((0, 0), abs=1e-7)
    assert left < surface.start[0] < right and bottom < surface.start[1] < top


def test_plain_descent_and_momentum_walk_as_the_formulas_say():
    surface = SURFACES["hill"]
    plain, place, speed = np.array(surface.start), np.array(surface.start), np.zeros(2)
    for _ in range(30):
        plain = plain - 0.05 * np.array(surface.slope(*plain))
        speed = 0.9 * speed + np.array(surface.slope(*place))
        place = place - 0.05 * speed
    assert walk(surface, "sgd", 0.05, 30).places[-1] == pytest.approx(tuple(plain))
    assert walk(surface, "momentum", 0.05, 30).places[-1] == pytest.approx(tuple(place))


@SURFACE
@pytest.mark.parametrize("optimizer", LETTERS)
def test_the_rate_written_down_is_the_best_of_those_tried(surface, optimizer):
    assert RATES[surface.name][optimizer] == tuned(surface, optimizer)


def test_momentum_crosses_the_hill_where_plain_descent_stops_at_every_stable_rate():
    surface, peak, dip = SURFACES["hill"], -0.73, -1.55
    assert surface.at(peak, 0) > surface.at(dip, 0) + 0.5 > surface.lowest + 2, "there is no hill"
    for rate in [rate for rate in TRIED if rate < 2 / CROSS] + [0.45 * 2 / CROSS, 0.99 * 2 / CROSS]:
        assert walk(surface, "sgd", rate, 400).places[-1][0] < peak
    for optimizer in ("momentum", "nesterov", "adam"):
        trail = walk(surface, optimizer, RATES["hill"][optimizer], 100)
        assert trail.heights[-1] < 1e-3 and trail.arrived is not None
        assert longest(trail) <= LONGEST < dip - surface.start[0], "it leapt"


def test_the_order_in_the_ravine():
    trails = {name: walk(SURFACES["ravine"], name, rate, 100) for name, rate in RATES["ravine"].items()}
    end = {name: trail.heights[-1] for name, trail in trails.items()}
    assert end["nesterov"] < end["momentum"] < end["sgd"] / 50
    assert end["adam"] < end["rmsprop"] < end["adagrad"] < end["sgd"]
    best = min(walk(SURFACES["ravine"], "sgd", rate, 100).heights[-1] for rate in TRIED if rate < 2 / 60)
    assert end["nesterov"] < best / 1000, "no rate of plain descent comes near"
    assert trails["sgd"].arrived == 1 + max(
        n for n, high in enumerate(trails["sgd"].heights) if high > trails["sgd"].heights[0] / 100
    )


def test_at_the_saddle_those_that_divide_by_the_gradient_leave_first():
    arrived = {name: walk(SURFACES["saddle"], name, rate, 100).arrived for name, rate in RATES["saddle"].items()}
    assert max(arrived["adagrad"], arrived["rmsprop"]) < arrived["nesterov"] < arrived["sgd"]


# The decision map


@pytest.mark.parametrize("seed", range(5))
def test_mixup_smooths_the_regions(seed):
    plain, mixed = decision_map.run(decision_map.Settings(steps=200, trick=("mixup",), seed=seed), silent).maps
    assert plain.train_accuracy > 0.97 and mixed.fresh_accuracy > 0.93
    assert mixed.slope < plain.slope
    assert mixed.unsure > 2 * plain.unsure


def test_the_slope_is_the_length_of_the_border_for_a_cliff_and_the_gradient_for_a_ramp():
    left, right, bottom, top = WINDOW
    across = np.linspace(0, 1, decision_map.COLUMNS)
    cliff = np.tile((across > 0.5).astype(float), (decision_map.ROWS, 1))
    ramp = np.tile(across, (decision_map.ROWS, 1))
    length, area = top - bottom, (top - bottom) * (right - left)
    assert decision_map.Map("", cliff, 1, 1).slope == pytest.approx(length / area)
    assert decision_map.Map("", ramp, 1, 1).slope == pytest.approx(1 / (right - left), rel=0.01)
    assert decision_map.Map("", ramp, 1, 1).unsure == pytest.approx(0.8, abs=0.02)


def test_the_points_drawn_are_those_trained_on_and_the_map_is_read_where_they_lie():
    settings = decision_map.Settings(steps=200, trick=(), noise=0.1, seed=3)
    result = decision_map.run(settings, silent)
    data = Points(count=100, noise=0.1, seed=3).read(None)
    assert np.array_equal(pixels(result.places), data.train.pixels)
    assert np.array_equal(result.classes, data.train.labels)
    assert len({*map(bytes, data.train.pixels)} & {*map(bytes, data.val.pixels)}) < 50, "the fresh points are not fresh"
    left, right, bottom, top = WINDOW
    column = ((result.places[:, 0] - left) / (right - left) * decision_map.COLUMNS).astype(int)
    row = ((top - result.places[:, 1]) / (top - bottom) * decision_map.ROWS).astype(int)
    guess = result.maps[0].probability[row, column] > 0.5
    assert (guess == result.classes).mean() > 0.97
    again = decision_map.run(settings, silent)
    assert np.array_equal(again.maps[0].probability, result.maps[0].probability)


def test_every_kind_of_trick_takes_points_and_cutmix_does_nothing():
    wanted = ("cutmix", "sam", "swa", "weight_ema", "pgd", "random_labels", "grad_accumulation.steps=2", "l1 grad_clip")
    wanted += ("optimizer=lbfgs", "optimizer=schedule_free", "model.norm=batch", "loss=focal")
    plain, cut, *others = decision_map.run(decision_map.Settings(steps=12, trick=wanted), silent).maps
    assert np.allclose(plain.probability, cut.probability, atol=1e-5)
    assert len(others) == len(wanted) - 1
    for each in others:
        assert not np.allclose(plain.probability, each.probability, atol=1e-5), each.title


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("mixp", "did you mean 'mixup'"),
        ("adam", "optimizer: adam"),
        ("mixup.alpha=9", "mixup.alpha"),
        ("mixup cutmix", "one mix"),
        ("data.limit=40", "the demonstration's own"),
        ("data=moons", "moons"),
    ],
)
def test_a_trick_that_cannot_be_is_a_sentence_before_anything_trains(words, said):
    with pytest.raises(RecipeError, match=said):
        decision_map.run(decision_map.Settings(trick=("mixup", words)), pytest.fail)


def test_circles_lie_in_the_middle_of_the_window():
    places, classes = drawn("circles", 400, 0.0, 0)
    radius = np.hypot(*(places - (0.5, 0.25)).T)
    assert np.allclose(radius[classes == 0], 1.2) and np.allclose(radius[classes == 1], 0.48)


# The next token


CODES = torch.randint(5, (3, 12), generator=torch.Generator().manual_seed(1))


def net_of(codes: int = 5, length: int = 12, seed: int = 0) -> NextCode:
    torch.manual_seed(seed)
    net = NextCode(codes, length, dim=16, depth=2, heads=2).eval()
    nn.init.normal_(net.position)
    return net


def test_a_later_pixel_changes_no_earlier_prediction():
    net, codes = net_of(), CODES
    before = net(codes)
    assert before.shape == (3, 12, 5)
    for place in range(12):
        other = codes.clone()
        other[:, place] = (other[:, place] + 1) % 5
        after = net(other)
        assert torch.equal(after[:, : place + 1], before[:, : place + 1]), "it saw what it was asked for"
        assert place == 11 or not torch.allclose(after[:, place + 1], before[:, place + 1])


def test_the_begin_of_a_text_is_predicted_as_in_the_whole():
    net, codes = net_of(), CODES
    whole = net(codes)
    for known in range(12):
        assert torch.allclose(net(codes[:, :known])[:, -1], whole[:, known], atol=1e-6)


def test_causal_attention_is_the_masked_softmax_written_out():
    torch.manual_seed(0)
    attention, x = CausalAttention(8, 2), torch.randn(2, 6, 8)
    query, key, value = attention.qkv(x).view(2, 6, 3, 2, 4).unbind(2)
    mixed = torch.zeros(2, 6, 2, 4)
    for place in range(6):
        scores = torch.einsum("bhd,bnhd->bhn", query[:, place], key[:, : place + 1]) / 2
        mixed[:, place] = torch.einsum("bhn,bnhd->bhd", scores.softmax(dim=2), value[:, : place + 1])
    assert torch.allclose(attention(x), attention.out(mixed.flatten(2)), atol=1e-6)


def test_sampling_follows_its_seed_and_nothing_else():
    net = net_of()

    def drawn(seed: int) -> torch.Tensor:
        return sample(net.train(), 6, 1.0, torch.Generator().manual_seed(seed))

    first, state = drawn(3), torch.get_rng_state()
    assert torch.equal(first, drawn(3)) and torch.equal(state, torch.get_rng_state())
    assert not torch.equal(first, drawn(4))
    assert first.shape == (6, 12) and first.min() >= 0 and first.max() < 5, "the begin token is never drawn"


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_temperature_divides_the_logits(temperature):
    logits = torch.tensor([0.0, 1.0, 2.0])

    class Fixed(nn.Module):
        length = 1

        def forward(self, codes):
            return logits.expand(len(codes), 1, 3)

    seen = sample(Fixed(), 20_000, temperature, torch.Generator().manual_seed(0))
    shares = torch.bincount(seen.flatten(), minlength=3) / 20_000
    assert torch.allclose(shares, (logits / temperature).softmax(0), atol=0.015)


def test_the_codes_are_the_training_digits_in_the_order_of_reading():
    from cockpit.datasets import digits

    train, val = next_token_toy.codes_of(17)
    stored = {bytes(image) for image in digits.read().train.pixels}
    assert (len(train), len(val)) == (1294, 144)
    assert all(bytes(codes.numpy().astype(np.uint8)) in stored for codes in torch.cat([train, val]))
    coarse, _ = next_token_toy.codes_of(2)
    assert torch.equal(coarse, (train >= 9).long())


def test_the_baselines_are_what_counting_gives():
    train, val = torch.tensor([[0, 1], [0, 0], [2, 1]]), torch.tensor([[0, 1], [1, 1]])
    known = next_token_toy.baselines(train, val, 3)
    assert known.majority == 1 / 4
    assert known.unigram == pytest.approx(-(math.log2(4 / 9) + 3 * math.log2(3 / 9)) / 4)
    assert known.by_place == pytest.approx(-(math.log2(3 / 6) + math.log2(3 / 6) + math.log2(1 / 6) + math.log2(3 / 6)) / 4)


def test_a_network_that_knows_nothing_needs_all_bits():
    net = net_of(codes=8, length=4)
    nn.init.zeros_(net.head.weight)
    nn.init.zeros_(net.head.bias)
    codes = torch.arange(8).repeat(4, 1).T
    assert next_token_toy.measured(net, codes) == pytest.approx((3.0, 1 / 8))


def test_every_digit_comes_once_before_any_comes_again():
    batches = list(next_token_toy._batches(80, next_token_toy.Settings(steps=10)))
    seen = torch.cat(batches)
    assert {len(batch) for batch in batches} == {32} and len(batches) == 10
    assert all(sorted(part.tolist()) == list(range(80)) for part in seen.split(80))


def test_a_short_training_beats_the_baselines_and_can_be_repeated():
    settings = next_token_toy.Settings(levels=4, depth=1, steps=40, count=3)
    result = next_token_toy.run(settings, silent)
    assert result.bits < result.baselines.unigram - 0.2 and result.accuracy > result.baselines.majority + 0.05
    assert result.drawn.shape == (3, 8, 8) and result.drawn.max() < 4 and len(result.curve) == 40
    _, val = next_token_toy.codes_of(4)
    counts = np.bincount(val.flatten(), minlength=4)
    assert result.baselines.unigram == pytest.approx(
        float(-(counts / counts.sum() * np.log2(counts / counts.sum())).sum()), abs=0.02
    )


# Settings, pictures, and the command


def test_settings_are_decoded_as_recipes_are():
    assert decode(decision_map.Settings, ["noise=0.5", "trick=mixup"]) == decision_map.Settings(noise=0.5, trick=("mixup",))
    assert decode(decision_map.Settings, ["trick=[mixup, dropout.p=0.5]"]).trick == ("mixup", "dropout.p=0.5")
    assert decode(optimizer_race.Settings, ["steps=7", "steps=1e1"]) == optimizer_race.Settings(steps=10)
    assert decode(next_token_toy.Settings, []) == next_token_toy.Settings()


@pytest.mark.parametrize(
    ("name", "edit", "said"),
    [
        ("decision_map", "noise=2", "--set noise: expected a number from 0 to 1, got 2"),
        ("decision_map", "nose=2", "--set nose: unknown knob 'nose'; did you mean 'noise'?"),
        ("decision_map", "noise", "--set noise: expected knob=value, got 'noise'; write noise=..."),
        ("decision_map", "data=moon", "--set data: expected one of moons, circles, got 'moon'; did you mean 'moons'?"),
        ("decision_map", "steps=[1]", "--set steps: expected a whole number from 1 to 100,000, got a list"),
        ("optimizer_race", "optimizers=adan", "--set: optimizers: 'adan' does not race; did you mean 'adam'?"),
        ("optimizer_race", "optimizers=[]", "--set: optimizers: a race needs one at least; known: sgd, momentum, "),
        ("next_token_toy", "temperature=0", "--set temperature: expected a number from 0.1 to 2, got 0"),
        ("next_token_toy", "levels=&a 3", "--set levels: the anchor '&a' is not read; leave it out"),
    ],
)
def test_a_wrong_knob_is_one_sentence(name, edit, said):
    with pytest.raises(RecipeError) as caught:
        decode(demos()[name].settings, [edit])
    assert str(caught.value).startswith(said) and "\n" not in str(caught.value)


def panel(title: str, width: int, letters=None) -> Panel:
    share = np.tile(np.linspace(0, 1, width), (4, 1))
    return Panel(title, ramp(((0, 0, 0), (255, 255, 255)), share), (share * 255).astype(np.uint8), letters or {})


def test_panels_stand_side_by_side_as_far_as_they_fit():
    page = Page((panel("one", 4), panel("two", 4), panel("three", 4)), ())
    for width, rows in ((14, 6), (9, 9), (16, 3), (1, 9)):
        assert len(page.rows(width, plain=True)) == rows
    text = ["".join(sign for sign, _ in row) for row in page.rows(14, plain=True)]
    assert text[0] == "one   two " and text[3] == "thre"


def test_a_panel_has_its_letters_in_place_on_half_blocks_or_on_shades():
    one = panel("", 4, {(1, 2): ("o", "#ff0000")})
    plain, colour = one.rows(plain=True), one.rows(plain=False)
    assert ["".join(sign for sign, _ in row) for row in plain] == [" -*@", " -o@"]
    assert colour[0][1] == ("▀", "#555555 on #555555") and colour[1][2] == ("o", "bold #ff0000 on #aaaaaa")


def cockpit_demo(*arguments: str) -> int:
    """The exit code of the command in this process."""
    try:
        with words():
            app(["demo", *arguments], standalone_mode=False)
    except SystemExit as end:
        return end.code
    return 0


def test_the_command_lists_them(capsys):
    assert cockpit_demo() == 0
    text = capsys.readouterr().out
    assert all(name in text for name in ("decision_map", "optimizer_race", "next_token_toy"))
    assert "noise = 0.2 [0, 1]" in text
    assert cockpit_demo("--json") == 0
    assert [one["name"] for one in json.loads(capsys.readouterr().out)] == list(demos())


@pytest.mark.parametrize(
    ("name", "sets"),
    [
        ("optimizer_race", ["surface=hill", "steps=5"]),
        ("decision_map", ["steps=2", "trick=mixup"]),
        ("next_token_toy", ["steps=2", "depth=1", "count=2"]),
    ],
)
def test_each_prints_ascii_where_there_is_no_colour_and_one_object_with_json(name, sets, capsys):
    options = [word for each in sets for word in ("--set", each)]
    assert cockpit_demo(name, *options) == 0
    text = capsys.readouterr().out
    assert len(text.splitlines()) > 12 and "\x1b" not in text and "▀" not in text
    assert cockpit_demo(name, *options, "--json") == 0
    assert json.loads(capsys.readouterr().out)["demo"] == name


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["optimiser_race"], "did you mean 'optimizer_race'?"),
        (["zzz"], "known: decision_map, optimizer_race, next_token_toy"),
        (["optimizer_race", "--set", "surface=hil"], "did you mean 'hill'?"),
        (["decision_map", "--set", "steps=1", "--set", "trick=stochastic_depth"], "stochastic_depth"),
        (
            [
                "decision_map",
                "--set",
                "steps=30",
                "--set",
                "trick=loss=mse optimizer=sgd optimizer.lr=20 model.activation=identity",
            ],
            "left the numbers",
        ),
    ],
)
def test_bad_input_is_a_sentence_and_code_2(arguments, said, capsys):
    assert cockpit_demo(*arguments) == 2
    assert said in capsys.readouterr().err.splitlines()[-1]


def test_the_list_needs_no_torch():
    code = (
        "import sys; from cockpit.demos import demos; assert demos(); print({'torch', 'sklearn', 'textual'} & {*sys.modules})"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "set()"
