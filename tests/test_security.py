"""No text drives the terminal: hostile words in every place of a run, a recipe, data and code, and every way out of them."""

import json
import os
import unicodedata
from pathlib import Path

import pytest
import ui_canned
from commands import cockpit
from conftest import TINY
from security_gallery import EVIL, TEXTS, hostile_run, leaks

from cockpit.ui.notices import sequence
from cockpit.ui.widgets.safe import DRIVES, harmless

WORST = {"all": EVIL, "long": TEXTS["long"], "broken": TEXTS["broken"], "lines": TEXTS["other lines"]}


def clean(words: str) -> bool:
    """Whether a text can be printed: every character is, and it comes to an end."""
    lines = words.split("\n")
    return all(line.isprintable() and len(line) < 8000 for line in lines) and len(lines) < 400


def typed(text: str) -> str:
    """As much of a text as a command line may hold."""
    return text[:2000].replace("\0", "").replace("\ud800", "")


def harmless_end(*words: str) -> None:
    done = cockpit(*words)
    assert clean(done.out) and clean(done.err), (words, ascii(done)[:2000])
    assert "Traceback" not in done.err and done.code in (0, 1, 2)


@pytest.mark.parametrize("which", WORST)
def test_no_command_over_a_hostile_run_drives_the_terminal(runs: Path, which: str) -> None:
    run = hostile_run(runs, said=WORST[which])
    other = ui_canned.write_run(runs, name="plain").path
    other = other.rename(other.with_name(other.name.replace("7f3a", "1234")))
    path, text = str(run.path), typed(WORST[which])
    for words in (
        ("runs",), ("show", path), ("show", path, "--plot"), ("replay", path), ("test", path), ("examine", path),
        ("fork", path, "--at", "best"), ("ensemble", path, str(other)), ("soup", path, str(other)), ("preview", path),
        ("pause", path), ("stop", path), ("resume", path, "--foreground"), ("show", text), ("attach", f"ssh://{text}"),
        ("fork", path, "--at", text),
    ):  # fmt: skip
        harmless_end(*words)
    for words in (("runs", "--json"), ("show", path, "--json"), ("replay", path, "--json")):
        done = cockpit(*words)
        assert (done.code, done.err) == (0, "") and done.out.isascii() and "\x7f" not in done.out and "\x1b" not in done.out
    assert WORST[which] in json.loads(cockpit("show", path, "--json").out)["notes"], "all of it, for whom it is data"


NET = "import torch\nfrom torch import nn\ndef build(in_channels, num_classes, image_size):\n    raise RuntimeError({})\n"


@pytest.mark.parametrize("which", WORST)
def test_no_recipe_and_no_error_of_a_network_drives_the_terminal(tmp_path: Path, which: str) -> None:
    text, net, recipe = typed(WORST[which]), tmp_path / "net.py", str(tmp_path / "tiny.yaml")
    net.write_text(NET.format(ascii(WORST[which])), encoding="utf-8")
    Path(recipe).write_text(TINY)
    said, keys, raw = json.dumps(text), tmp_path / "keys.yaml", tmp_path / "raw.yaml"
    keys.write_text(TINY + f"{said}: 1\n", encoding="utf-8")
    raw.write_bytes(TINY.encode() + os.fsencode(f"{text}: {text}\n"))
    for words in (
        ("check", str(keys)), ("check", str(raw)), ("explain", text), (text, "x"), ("train", text), ("demo", text),
        ("train", recipe, "--bogus" + text), ("train", recipe, "--set", "train.epochs=1", "--name", text),
        ("ablate", recipe, "--vary", text), ("train", recipe, "--runs", f"{recipe}/{text}"),
        *(("check", recipe, "--set", edit) for edit in (f"about={text}", f"model={text}", f"{text}=1")),
        *(("check", recipe, "--set", f"data={{source: {source}, path: {said}}}") for source in ("folder", "npz")),
        *((verb, recipe, "--set", f"model={{name: file, path: {net}}}", "--allow-code") for verb in ("check", "train")),
        ("check", recipe, "--set", f"model={{name: file, path: {said}}}", "--allow-code"),
    ):  # fmt: skip
        harmless_end(*words)


def test_class_folders_with_hostile_names_are_told_in_printable_words(tmp_path: Path) -> None:
    from PIL import Image

    for number, text in enumerate(TEXTS.values()):
        folder = tmp_path / "data" / f"{number}{typed(text)[:60].replace('/', '')}"
        folder.mkdir(parents=True)
        for each in range(4):
            Image.new("L", (8, 8), each).save(folder / f"{each}.png")
        os.link(folder / "0.png", folder / (typed(text)[:60].replace("/", "") + ".png"))
        (folder / (typed(text)[:50].replace("/", "") + ".jpg")).write_bytes(b"broken")
    (tmp_path / "tiny.yaml").write_text(TINY)
    given = ("--set", f"data={{source: folder, path: {tmp_path / 'data'}, size: 8}}", "--set", "train.epochs=1")
    for verb in ("check", "train", "preview"):
        harmless_end(verb, str(tmp_path / "tiny.yaml"), *given)
    harmless_end("show")


def test_a_fault_of_ours_is_told_in_printable_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError(EVIL)

    monkeypatch.setattr("cockpit.catalog.find", fails)
    done = cockpit("explain", "mixup")
    assert (done.code, done.out) == (1, "") and clean(done.err)
    assert "Traceback" in done.err and "RuntimeError" in done.err and "test_security.py" in done.err


def test_the_filter_of_the_screen_knows_every_character_that_draws_nothing() -> None:
    wanted = ("Cc", "Cf", "Zl", "Zp", "Cs")
    known = {char for char in map(chr, range(0x110000)) if unicodedata.category(char) in wanted}
    assert not [hex(ord(char)) for char in known if not DRIVES.match(char)]
    assert all(not DRIVES.search(text) for text in ("plain ─●▸ é 漢字 ⣿ \U0001f600", "a\u0301"))


def test_the_filter_keeps_the_width() -> None:
    from rich.cells import cell_len

    for text in (EVIL, "a\x1b[31mb", "漢\u202e字", "x\ud800y"):
        assert cell_len(harmless(text)) == cell_len(text) and not leaks(harmless(text).encode())


@pytest.mark.parametrize("which", TEXTS)
@pytest.mark.parametrize("env", [{"TERM": "xterm"}, {"TERM": "xterm", "TMUX": "x"}, {"TERM": "screen", "STY": "x"}])
def test_no_notice_breaks_out_of_its_sequence(which: str, env: dict[str, str]) -> None:
    said = sequence(TEXTS[which], TEXTS[which], env)
    assert not leaks(said.replace("\x1b\x1b]777", "").encode()) and said.count("]777;") == 1 and len(said) < 400
