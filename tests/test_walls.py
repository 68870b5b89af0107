"""The walls at run time: what fresh processes import, which import contracts cannot see."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "torchvision", "sklearn", "timm")


def loaded(code: str) -> set[str]:
    """The heavy modules in memory after some code ran in a fresh process."""
    script = f"import sys\n{code}\nprint(*[name for name in {(*HEAVY, 'textual')} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split("\n")[-2].split())


@pytest.mark.parametrize(
    "module",
    [
        "cards",
        "catalog",
        "families",
        "recipe",
        "runs.history",
        "runs.summary",
        "runs.mailbox",
        "judge",
        "launch",
        "cli",
        "host.host",
        "engine.control",
    ],
)
def test_what_a_run_is_needs_neither_torch_nor_textual(module):
    assert loaded(f"import cockpit.{module}") == set()


def test_the_screen_needs_no_torch():
    assert loaded("import cockpit.ui.app") == {"textual"}


def test_the_whole_catalogue_needs_no_torch():
    assert loaded("from cockpit.catalog import catalog; assert len(catalog()) > 50") == set()


def test_the_engine_needs_no_textual():
    assert "textual" not in loaded("import cockpit.engine.assemble, cockpit.engine.loop")


@pytest.mark.parametrize(
    "arguments", [["--help"], ["runs"], ["presets"], ["tricks"], ["explain", "mixup"], ["train", "--help"]]
)
def test_commands_that_only_look_need_no_torch(arguments):
    code = f"sys.argv = ['cockpit', *{arguments}]\nfrom cockpit.cli import main\ntry:\n    main()\nexcept SystemExit:\n    pass"
    assert loaded(code) == set()


@pytest.mark.parametrize("size", [(160, 48), (40, 12)])
def test_the_first_frame_needs_no_torch(size, tmp_path):
    code = f"""
import asyncio, pathlib
from cockpit.ui.app import CockpitApp
async def look():
    app = CockpitApp(runs=pathlib.Path({str(tmp_path)!r}), recipe="first_flight")
    async with app.run_test(size={size}) as pilot:
        await pilot.pause()
        assert app.screen.query("*")
asyncio.run(look())"""
    assert loaded(code) == {"textual"}
