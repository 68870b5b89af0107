"""Texts that would drive a terminal, a run that says nothing else, and what would show that one of them got through."""

import dataclasses
import json
from pathlib import Path

import ui_canned

from cockpit.runs import events as ev
from cockpit.runs.directory import RunDir

TEXTS = {
    "title": "\x1b]0;PWNED\x07",
    "title by ST": "\x1b]2;PWNED\x1b\\",
    "clipboard": "\x1b]52;c;UFdORUQ=\x07",
    "link": "\x1b]8;;http://PWNED.example\x1b\\x\x1b]8;;\x1b\\",
    "report": "\x1b[666n\x1b[>666c\x1b[?666$p",
    "colours": "\x1b[666;31mred",
    "far away": "\x1b[666;666Hx\x1b[666A",
    "C1": "\x9b666mx\x9d0;PWNED\x9c\x90PWNED\x9c",
    "bell and back": "a\x07b\x08\x08c\rd\x7fe",
    "reset": "\x1bcx\x1b#8",
    "DCS": "\x1bP666;PWNED\x1b\\",
    "other lines": "a\nforged\x0b\x0c\x85\u2028\u2029b",
    "bidi": "a\u202egpj.exe\u2066\u2067\u061c\u200f",
    "invisible": "a\u200bb\u200cc\ufeffd\u2060e\u00adf\U000e0041",
    "broken": "a\udcffb\ud800c",
    "markup": "[red]r[/red] [link=http://PWNED.example]l[/link] [@click=app.exit]c[/] [/] [$primary]",
    "long": "PWN " * 30_000,
    "null": "a\x00b",
}
EVIL = "".join(text[:99] for text in TEXTS.values())
"""All of them at once."""
DRIVEN = (
    b"\x1b]0;",
    b"\x1b]2;",
    b"\x1b]52",
    b"\x1b]8",
    b"\x1b[666",
    b"\x1b[>666",
    b"\x1b[?666",
    b"\x1bc",
    b"\x1b#8",
    b"\x1bP666",
)
"""What only these texts would send to a terminal."""
HIDDEN = {
    *"\x00\x08\x0b\x0c\x7f\x85\x9b\x9c\x9d\x90\u2028\u2029\u202e\u2066\u2067\u061c\u200f\u200b\u200c\ufeff\u2060\u00ad\U000e0041"
}


def leaks(sent: bytes) -> list[str]:
    """What of these texts drives a terminal that is sent these bytes; how long lines are is told in words."""
    text = sent.decode("utf-8", "replace")
    return [
        ascii(each) for each in (*(raw for raw in DRIVEN if raw in sent), *(char for char in sorted(HIDDEN) if char in text))
    ]


def hostile_run(root: Path, state: str = "failed", said: str = EVIL) -> RunDir:
    """A run of which every word, and its folder's name, is hostile."""
    run = ui_canned.write_run(root, epochs=7, state="running" if state == "running" else None, more=tuple(words(said, state)))
    text = run.events.read_text(encoding="utf-8")
    for plain in ("fashion_mnist", "T-shirt", "Trouser", "features.0", "Conv2d", "testhost"):
        text = text.replace(f'"{plain}"', encoded(said))
    run.events.write_text(text, encoding="utf-8")
    run.recipe.write_text(ui_canned.RECIPE.replace("canned", encoded(said[:4000].replace("\ud800", "").replace("\udcff", ""))))
    run.log.write_text("\n".join(TEXTS.values()), encoding="utf-8", errors="replace")
    name = "".join(char for char in said[:60] if char not in "/\0_\ud800")
    return RunDir(run.path.rename(run.path.with_name(f"2026-01-02_030405_{name}_7f3a")))


def encoded(said: str) -> str:
    return json.dumps(said)


def words(said: str, state: str) -> list[ev.Event]:
    """Events of which every text is the same."""
    plain = {"t": ui_canned.NOW, "step": 2940}
    remedy = ev.Remedy(label=said, edits=(("optimizer.lr", said), (said, "1")))
    story: list[ev.Event] = [
        ev.Flagged(
            **plain, id="overfitting", severity="critical", epoch=7, headline=said, why=said, evidence={said: said, "x": 1.0},
            remedies=(remedy, dataclasses.replace(remedy, edits=(), verb="stop")),
        ),
        ev.Flagged(**plain, id=said, severity="warning", epoch=7, headline=said),
        ev.Noted(**plain, level="warning", text=said),
        ev.Edited(**plain, path="optimizer.lr", old=said, new="0.01", live=True),
        ev.Edited(**plain, path=said, old=said, new=said, live=False),
        ev.Commanded(**plain, id="a", verb="edit", ok=False, detail=said),
        ev.Checkpointed(**plain, path=said, reason=said),
    ]  # fmt: skip
    return story + ([ev.Ended(**plain, state=state, reason=said)] if state != "running" else [])
