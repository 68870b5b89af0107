"""Which panes a screen of some size has room for."""

PLOTS = ("loss", "accuracy", "rates")
COLUMNS = {"left": ("data", "tricks"), "middle": PLOTS, "right": ("flags", "layers", "machine")}
WIDE, MEDIUM = 116, 60
"""Columns from which all panes fit side by side, and from which two plots fit one above the other."""
HIGH, TALL = 36, 18
"""Rows likewise: for three plots, and for two."""


def shown_panes(width: int, height: int, page: str, plot: str) -> frozenset[str]:
    """The panes to show: all on a wide screen, else those of the open page; of the plots as many as fit."""
    plots = PLOTS if height >= HIGH else (plot,) if height < TALL or width < MEDIUM else _pair(plot)
    if width >= WIDE:
        return frozenset((*COLUMNS["left"], *plots, *COLUMNS["right"]))
    return frozenset(plots if page == "plots" else (page,))


def _pair(plot: str) -> tuple[str, ...]:
    return ("loss", "rates") if plot == "rates" else ("loss", "accuracy")
