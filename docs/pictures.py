"""Takes the pictures of the README from a real run: `python docs/pictures.py RUNS_FOLDER [RUN]`."""

import asyncio
import sys
from pathlib import Path

from cockpit.runs.directory import RunDir, find
from cockpit.ui.app import CockpitApp

FOLDER = Path(__file__).parent / "pictures"


async def take(name: str, size: tuple[int, int], runs: Path, run: RunDir | None, keys: tuple[str, ...] = ()) -> None:
    """One picture, after a few keys."""
    app = CockpitApp(runs=runs, run=run)
    async with app.run_test(size=size) as pilot:
        await pilot.pause(1.5)
        for key in keys:
            await pilot.press(key)
            await pilot.pause(0.5)
        FOLDER.mkdir(exist_ok=True)
        picture = app.export_screenshot(title="cockpit").replace(str(runs), "runs")  # nobody's own folders
        (FOLDER / f"{name}.svg").write_text(picture, encoding="utf-8")


async def main() -> None:
    """The launch screen, and a run at two sizes."""
    runs = Path(sys.argv[1])
    run = find(runs, sys.argv[2] if len(sys.argv) > 2 else None)
    await take("launch", (120, 24), runs, None)
    await take("training", (160, 48), runs, run)
    await take("small", (80, 24), runs, run)


if __name__ == "__main__":
    asyncio.run(main())
