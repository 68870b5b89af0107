"""What a curve costs on the screen: this project's plot beside plotext 6 and textual-plotext, in one run.

    uv run python benchmarks/plot.py [--peer PYTHON]

Two curves, 100x20 cells, in a real Textual application whose driver counts the bytes it would send to a terminal.
textual-plotext is tied to plotext 5, so it needs an environment of its own: PYTHON is that environment's interpreter.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
from rich.text import Text
from textual.app import App
from textual.drivers.headless_driver import HeadlessDriver
from textual.geometry import Region
from textual.widget import Widget

WIDTH, HEIGHT = 100, 20
COUNTS = (200, 20_000)
ROUNDS = 9


class CountingDriver(HeadlessDriver):
    """Takes what a terminal would get, and counts it."""

    sent = 0

    @property
    def is_headless(self) -> bool:
        return False

    def write(self, data: str) -> None:
        CountingDriver.sent += len(data.encode())


def values(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Steps, training loss, validation loss."""
    x, random = np.arange(1, count + 1), np.random.default_rng(0)
    noise = 0.1 * random.standard_normal(count)
    return x, (2.2 * np.exp(-4 * x / count) + 0.2 + noise).astype(np.float32), 2 * np.exp(-3 * x / count) + 0.35


class Drawn(Widget):
    """A plot drawn as a string by another library."""

    DEFAULT_CSS = "Drawn { height: 1fr; }"
    text = Text()

    def render(self) -> Text:
        return self.text


def ours() -> tuple[Widget, Callable[..., None]]:
    from cockpit.ui.plot import CurvePlot, Series

    plot = CurvePlot()

    def show(x: np.ndarray, train: np.ndarray, val: np.ndarray, end: int, epochs: np.ndarray | None = None) -> None:
        seen = x if epochs is None else epochs
        plot.show([Series("train", x, train), Series("val", seen, val, color="warning", shape="dotted")], x_max=end)

    return plot, show


def plotext6(thinned: bool) -> tuple[Widget, Callable[..., None]]:
    import plotext

    from cockpit.ui.plot.thin import thin

    plot = Drawn()
    plotext.terminal.limit(False, False)

    def show(x: np.ndarray, train: np.ndarray, val: np.ndarray, end: int) -> None:
        figure = plotext.figure
        figure.clear()
        figure.plot_size(WIDTH, HEIGHT)
        figure.ruler("x").lim(0, end)
        for name, y in (("train", train), ("val", val)):
            points = x.tolist(), y.tolist()
            if thinned:
                columns = thin(x, y, 2 * WIDTH, (0, end))
                at = np.flatnonzero(columns.count)
                ends = np.stack([columns.low, columns.high])[:, at].T
                points = np.repeat(at * end / (2 * WIDTH), 2).tolist(), ends.ravel().tolist()
            signal = figure.signal(*points, marker="braille").lines()
            signal.label(name)
            figure.draw(signal)
        plot.text = Text.from_ansi(figure.build().string())
        plot.refresh()

    return plot, show


def textual_plotext() -> tuple[Widget, Callable[..., None]]:
    from textual_plotext import PlotextPlot

    plot = PlotextPlot()

    def show(x: np.ndarray, train: np.ndarray, val: np.ndarray, end: int) -> None:
        plot.plt.clear_data()
        plot.plt.xlim(0, end)
        for name, y in (("train", train), ("val", val)):
            plot.plt.plot(x.tolist(), y.tolist(), marker="braille", label=name)
        plot.refresh()

    return plot, show


TOOLS: dict[str, Callable[[], tuple[Widget, Callable[..., None]]]] = {
    "cockpit": ours,
    "plotext 6": lambda: plotext6(False),
    "plotext 6, thinned first": lambda: plotext6(True),
    "textual-plotext": textual_plotext,
}


async def measure(tool: str, count: int) -> dict[str, float]:
    """Milliseconds and bytes of a whole frame, and of the frame after one more point."""
    made, show = TOOLS[tool]()

    class Board(App[None]):
        def compose(self):
            yield made

    app = Board(driver_class=CountingDriver)
    found: dict[str, float] = {}

    async def frame(fresh: bool, points: int, x: np.ndarray, *curves: np.ndarray) -> tuple[float, int]:
        if fresh:
            if tool == "cockpit":  # the others draw everything at every frame
                show(x[:0], *(curve[:0] for curve in curves), int(count * 1.25))
            await asyncio.sleep(0.1)
        before, start = CountingDriver.sent, time.perf_counter()
        show(x[:points], *(curve[:points] for curve in curves), int(count * 1.25))
        made.render_lines(Region(0, 0, WIDTH, HEIGHT))
        took = time.perf_counter() - start
        await asyncio.sleep(0.15)
        return took * 1000, CountingDriver.sent - before

    async def drive() -> None:
        await asyncio.sleep(0.3)
        data, whole, more = values(count), [], []
        for _ in range(ROUNDS):
            whole.append(await frame(True, count - 1, *data))
            more.append(await frame(False, count, *data))
        for name, frames in (("whole", whole), ("more", more)):
            found[f"{name} ms"] = statistics.median(took for took, _ in frames)
            found[f"{name} bytes"] = statistics.median(sent for _, sent in frames)
        app.exit()

    task = asyncio.create_task(drive())
    await app.run_async(headless=False, size=(WIDTH, HEIGHT), mouse=False)
    await task
    return found


async def steady(minutes: float) -> float:
    """Kilobytes a second for three plots of a run so long: 100 steps a second, read four times a second, 52 cells wide."""
    from textual.containers import Vertical

    steps, polls = int(minutes * 6000), 200
    x, train, val = values(steps)
    epochs = np.arange(steps // 10, steps + 1, steps // 10)
    made = [ours() for _ in range(3)]

    class Board(App[None]):
        CSS = "Vertical { width: 52; margin-left: 40; }"

        def compose(self):
            yield Vertical(*(plot for plot, _ in made))

    app, sent = Board(driver_class=CountingDriver), [0]

    async def drive() -> None:
        await asyncio.sleep(0.3)
        for poll in range(polls):
            now = steps // 3 + 25 * poll
            seen = epochs[epochs <= now]
            for _, show in made:
                show(x[:now], train[:now], val[seen - 1], steps, seen)
            await asyncio.sleep(0.03)
            sent.append(CountingDriver.sent)
        app.exit()

    task = asyncio.create_task(drive())
    await app.run_async(headless=False, size=(160, 48), mouse=False)
    await task
    return (sent[-1] - sent[1]) / (polls - 1) * 4 / 1000


def a_million() -> str:
    """A run of a million steps, as the run directory maps it."""
    from cockpit.runs.tables import STEPS
    from cockpit.ui.plot.thin import Thinner

    table = np.zeros(1_000_100, STEPS)
    table["step"], table["loss"] = np.arange(len(table)), np.random.default_rng(0).random(len(table))
    first, later = [], []
    for _ in range(ROUNDS):
        thinner = Thinner()
        for have, into in ((1_000_000, first), (1_000_100, later)):
            start = time.perf_counter()
            thinner.update(table["step"][:have], table["loss"][:have], 2 * WIDTH, (0, 1_250_000))
            into.append((time.perf_counter() - start) * 1000)
    return f"{statistics.median(first):.1f} ms at first sight, {statistics.median(later):.3f} ms for 100 points more"


HOLE = """
import plotext
figure = plotext.figure
figure.plot_size(60, 8)
figure.draw(figure.signal([1, 2, 3], [1.0, float("{hole}"), 2.0], marker="braille").lines())
figure.build()
"""


def holes() -> str:
    """What plotext does with a loss that is not finite."""
    said = []
    for hole in ("nan", "inf"):
        done = subprocess.run([sys.executable, "-c", HOLE.format(hole=hole)], capture_output=True, text=True)
        last = (done.stderr.strip().splitlines() or ["draws"])[-1].strip()
        said.append(f"{hole}: " + (f"process ended by signal {-done.returncode}" if done.returncode < 0 else f"`{last}`"))
    return "; ".join(said)


def row(label: str, found: dict[int, dict[str, float]]) -> str:
    cells = [
        f"{found[count][f'{kind} ms']:.1f} ms, {found[count][f'{kind} bytes'] / 1000:.2f} kB"
        for count in COUNTS
        for kind in ("whole", "more")
    ]
    return f"| {label} | " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", help="interpreter of an environment that has textual-plotext")
    parser.add_argument("--only", choices=TOOLS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.only:
        found = {count: asyncio.run(measure(asked.only, count)) for count in COUNTS}
        print(json.dumps({"versions": [version("textual-plotext"), version("plotext")], "found": found}))
        return
    print(f"| frame, {WIDTH}x{HEIGHT} | 2 x 200, whole | one point more | 2 x 20,000, whole | one point more |")
    print("|---|---|---|---|---|")
    for tool in ("cockpit", "plotext 6", "plotext 6, thinned first"):
        found = {count: asyncio.run(measure(tool, count)) for count in COUNTS}
        print(row(tool.replace("plotext 6", f"plotext {version('plotext')}"), found), flush=True)
    if asked.peer:
        command = [asked.peer, str(Path(__file__)), "--only", "textual-plotext"]
        peer = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
        label = "textual-plotext {} (plotext {})".format(*peer["versions"])
        print(row(label, {int(count): found for count, found in peer["found"].items()}))
    print(f"\nA curve of a million points, thinned by cockpit: {a_million()}.")
    rates = ", ".join(f"{asyncio.run(steady(minutes)):.1f} kB/s in a run of {minutes} minutes" for minutes in (2, 5, 60))
    print(f"Three plots of cockpit on 160x48, 100 steps a second, four polls a second: {rates}.")
    print(f"A value that is not finite, in plotext {version('plotext')}: {holes()}.")
    print(f"Versions: Python {sys.version.split()[0]}, textual {version('textual')}, numpy {version('numpy')}.")


if __name__ == "__main__":
    main()
