"""Run directories and mailboxes belong to their user alone, and a recipe executes nothing without consent."""

import json
import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import ui_canned
from commands import cockpit, refused
from conftest import TINY

from cockpit.engine import checkpoints
from cockpit.recipe import RecipeError, loads
from cockpit.runs.directory import RunDir, create, find, list_runs
from cockpit.runs.launch_facts import allows_code, say_facts
from cockpit.runs.mailbox import Command, send, take
from cockpit.runs.owner import own, stranger
from cockpit.ui.helm import Helm

STRANGER = 12345
"""A user whom nobody is."""
as_root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be several users")


@pytest.fixture
def umask() -> Iterator[Callable[[int], object]]:
    held = os.umask(0o022)
    yield os.umask
    os.umask(held)


@pytest.mark.parametrize("mask", [0, 0o002, 0o777, 0o277])
def test_what_a_run_is_made_of_is_its_users_alone(tmp_path: Path, umask, mask: int) -> None:
    umask(mask)
    run = create(tmp_path / "runs", "x", TINY, {"allow_code": False})
    send(run.mailbox, Command("pause"))
    say_facts(run, gpus=1)
    checkpoints.save(run.checkpoint("last"), {"step": 1})
    seen = {path: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "runs", *(tmp_path / "runs").rglob("*"))}
    assert {mode for path, mode in seen.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in seen.items() if path.is_file()} == {0o600} and len(seen) == 9
    assert isinstance(take(run.mailbox)[0], Command)


def test_a_run_from_the_command_line_under_any_umask(tmp_path: Path, runs: Path, umask) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    umask(0o777)
    assert cockpit("train", str(tmp_path / "tiny.yaml"), "--set", "train.epochs=1").code == 0
    modes = {stat.S_IMODE(path.stat().st_mode) & 0o700 for path in runs.rglob("*")}
    assert modes <= {0o600, 0o700}, "the user may read all of it"
    assert all(not stat.S_IMODE(path.stat().st_mode) & 0o077 for path in runs.rglob("*") if path.is_dir())


def give(run: RunDir, *, only: Path | None = None) -> RunDir:
    """To a stranger."""
    for path in [only] if only else [run.path, *run.path.rglob("*")]:
        os.lchown(path, STRANGER, STRANGER)
    return run


@pytest.fixture
def theirs(fly) -> RunDir:
    """A finished run of another user, who has agreed to everything."""
    run = fly().run
    say_facts(run, allow_code=True)
    return give(run)


@as_root
@pytest.mark.parametrize(
    "words",
    [("pause",), ("continue",), ("stop",), ("resume",), ("test",), ("fork", "--at", "last"), ("fork", "--at", "best")],
)
def test_anothers_run_is_not_obeyed_and_gets_no_orders(theirs: RunDir, words: tuple[str, ...]) -> None:
    said = refused(words[0], theirs.id, *words[1:])
    assert f"run {theirs.id} (test) belongs to another user (uid {STRANGER}): you may look at it, and not" in said
    assert not list(theirs.mailbox.iterdir())


@as_root
def test_anothers_run_is_listed_and_shown(theirs: RunDir, runs: Path) -> None:
    assert theirs.id in cockpit("runs").out and "finished" in cockpit("show", theirs.id).out
    helm = Helm(run=theirs)
    helm.poll()
    assert helm.view.state == "finished" and "you may look at it" in helm.elsewhere("resume it")
    with pytest.raises(Exception, match="you may look at it, and not command it"):
        helm.order("pause")
    with pytest.raises(PermissionError, match="takes no orders of yours"):
        send(theirs.mailbox, Command("stop"))


@as_root
def test_the_consent_of_another_is_none(fly, theirs: RunDir, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    (tmp_path / "net.py").write_text(f"open({str(canary)!r}, 'w')\n")
    recipe = theirs.recipe.read_text().replace("name: mlp", f"name: file\n  path: {tmp_path / 'net.py'}", 1)
    theirs.recipe.write_text("\n".join(line for line in recipe.splitlines() if "widths" not in line))
    mine = fly(TINY, "seed=1").run
    assert not allows_code(theirs)
    for words in (
        ("examine", theirs.id),
        ("preview", theirs.id),
        ("ensemble", theirs.id, mine.id),
        ("soup", theirs.id, mine.id),
    ):
        assert refused(*words)
    done = cockpit("resume", theirs.id, "--foreground")
    assert done.code != 0 and not canary.exists()


@as_root
@pytest.mark.parametrize("which", ["recipe", "launch", "events", "mailbox"])
def test_one_file_of_another_is_enough(fly, which: str) -> None:
    run = fly().run
    assert stranger(run) == "" and own(run, "resume") is run
    give(run, only=getattr(run, which))
    assert stranger(run) == f"another user (uid {STRANGER})"


@as_root
def test_a_link_of_another_leads_to_no_run_of_ours(fly, runs: Path) -> None:
    run = fly().run
    run.checkpoint("best").rename(run.path / "kept.pt")
    run.checkpoint("best").symlink_to(run.path / "kept.pt")
    assert stranger(run) == ""
    os.lchown(run.checkpoint("best"), STRANGER, STRANGER)
    assert stranger(run)


def as_another(work: Callable[[], object], tmp_path: Path) -> str:
    """What work raises in a process of another user."""
    told = tmp_path / "told"
    told.touch()
    told.chmod(0o666)
    child = os.fork()
    if child == 0:
        os.setgid(STRANGER)
        os.setuid(STRANGER)
        try:
            work()
            told.write_text("nothing")
        except BaseException as error:
            told.write_text(f"{type(error).__name__}: {error}")
        os._exit(0)
    os.waitpid(child, 0)
    return told.read_text()


@pytest.fixture
def open_to_all(tmp_path: Path) -> None:
    """So that another user comes as far as the runs' folder."""
    for folder in (tmp_path, *tmp_path.parents[:3]):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)


@as_root
def test_another_user_reads_nothing_and_orders_nothing(fly, runs: Path, tmp_path: Path, open_to_all) -> None:
    run = fly().run
    runs.chmod(0o777)
    import cockpit.cli  # noqa: F401  (while it can be read)

    assert as_another(run.recipe.read_bytes, tmp_path).startswith("PermissionError")
    assert as_another(lambda: list(run.path.iterdir()), tmp_path).startswith("PermissionError")
    assert as_another(lambda: send(run.mailbox, Command("stop")), tmp_path).startswith("PermissionError")
    assert as_another(lambda: (run.mailbox / "x.json").write_text("{}"), tmp_path).startswith("PermissionError")
    assert as_another(lambda: find(runs, str(run.path)), tmp_path).endswith("belongs to another user, or is closed to you")
    assert as_another(lambda: [][len(list_runs(runs))], tmp_path).startswith("IndexError"), "it lists, and nothing is there"
    assert take(run.mailbox) == []


@as_root
def test_what_another_puts_into_a_shared_folder_does_not_end_a_list(fly, runs: Path) -> None:
    run = fly().run
    theirs = ui_canned.write_run(runs)
    theirs.path.chmod(0)
    give(theirs, only=theirs.path)
    assert run.id in cockpit("runs").out


CODE = "model: {name: file, path: evil.py}"


@pytest.fixture
def evil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe whose network leaves a canary, in the current folder."""
    monkeypatch.chdir(tmp_path)
    Path("evil.py").write_text("open('canary', 'w')\n")
    Path("evil.yaml").write_text(TINY.replace("model: {name: mlp, widths: [16], norm: none}", CODE))
    return tmp_path / "canary"


@pytest.mark.parametrize("verb", ["train", "start", "check", "preview", "ablate", "repeat"])
def test_no_command_runs_code_without_consent(evil: Path, runs: Path, verb: str) -> None:
    more = ("--vary", "optimizer.lr=0.1,0.2") if verb == "ablate" else ()
    said = refused(verb, "evil.yaml", *more)
    assert not evil.exists() and not (runs.exists() and list_runs(runs)), said
    assert more or "--allow-code" in said


def test_consent_is_for_this_run_alone(evil: Path, fly, runs: Path) -> None:
    run = fly().run
    recipe = Path("evil.yaml").read_text()
    run.recipe.write_text(recipe)
    say_facts(run, allow_code=False)
    for words in (("test", run.id), ("examine", run.id), ("preview", run.id), ("ensemble", run.id, fly(TINY, "seed=2").run.id)):
        assert "--allow-code" in refused(*words)
    done = cockpit("fork", run.id, "--foreground")
    assert done.code == 2 and "--allow-code" in done.out and not evil.exists()


PAIRS = ("ab", "bc", "cd", "de", "ef", "fg", "gh", "hi")
BILLION = "a: &a [x, x, x]\n" + "".join(f"{new}: &{new} [{', '.join(['*' + old] * 9)}]\n" for old, new in PAIRS)
"""Of laughs: nine to the eighth."""


@pytest.mark.parametrize(
    "text",
    [
        "about: !!python/object/apply:os.system ['touch canary']",
        "about: !!python/name:os.system x",
        "seed: !!python/object/new:os.system [touch canary]",
        BILLION,
        "about: &x {y: *x}",
        "[" * 100_000,
        "{a: " * 50_000,
        "about: " + "x" * 2_000_000,
        "\n".join(f"k{number}: 1" for number in range(100_000)),
    ],
    ids=("apply", "name", "new", "billion", "circle", "lists", "mappings", "long", "many"),
)
def test_tags_and_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError) as told:
        loads(TINY + text)
    assert told.value.faults and not Path("canary").exists()
    Path("bomb.yaml").write_text(TINY + text)
    done = cockpit("check", "bomb.yaml")
    assert done.code == 2 and "Traceback" not in done.err and len(done.err) < 20_000


@pytest.mark.parametrize(
    "text", ["[" * 5000, "? {a: 1}\n: 2", "a: !!timestamp x", "a: !!int ''", "a: &x [*x]", "\x00", "- 1"], ids=range(7)
)
def test_the_screen_opens_a_run_whose_recipe_is_none(tmp_path: Path, text: str) -> None:
    run = ui_canned.write_run(tmp_path)
    run.recipe.write_text(text)
    helm = Helm(run=run)
    for _ in range(3):
        helm.poll()
    assert helm.view.state == "running"


@pytest.mark.parametrize("name", ["../../x", "/etc/x", "..", ".", "", "a/../../b", "~/x", "x" * 5000, "\x1b]0;x\x07"])
def test_no_name_leaves_the_runs_folder(tmp_path: Path, runs: Path, name: str) -> None:
    before = {path for path in tmp_path.rglob("*") if runs not in path.parents}
    run = create(runs, name, TINY, {})
    assert run.path.parent == runs and run.path.name.isprintable() and len(run.path.name) < 100
    assert {path for path in tmp_path.rglob("*") if runs not in path.parents} - before == {runs}


def test_what_the_command_line_said_is_in_the_run(tmp_path: Path, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The documentation says so: nothing secret belongs there, and nobody else can read it."""
    (tmp_path / "tiny.yaml").write_text(TINY)
    assert cockpit("train", str(tmp_path / "tiny.yaml"), "--set", "about=secret", "--set", "train.epochs=1").code == 0
    (run,) = list_runs(runs)
    assert "about=secret" in json.loads(run.launch.read_text())["command"]
    assert stat.S_IMODE(run.launch.stat().st_mode) == 0o600 and stat.S_IMODE(run.path.stat().st_mode) == 0o700
    assert sys.argv
