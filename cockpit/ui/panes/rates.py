"""The small plot with four tabs."""

from typing import ClassVar

from textual.binding import Binding
from textual.content import Content

from cockpit.ui.model.curves import RATES, Curves
from cockpit.ui.panes.curves import CurvePane


class RatesPane(CurvePane):
    """Learning rate, gradient norm, update ratio or speed."""

    TITLE = "Rates"
    HELP_TITLE = "Small plot"
    SMOOTHING = 0
    BINDINGS = [
        Binding(str(number), f"tab({number})", tab.capitalize(), show=False) for number, tab in enumerate(RATES, start=1)
    ]
    TABS: ClassVar[tuple[str, ...]] = tuple(RATES)

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._tab = 0
        self._name_tabs()

    def _name_tabs(self) -> None:
        tabs = [Content.styled(tab, "bold reverse" if at == self._tab else "") for at, tab in enumerate(self.TABS)]
        self.border_title = Content(" · ").join(tabs)

    @property
    def shown_tab(self) -> str:
        """The name of the tab that is open."""
        return self.TABS[self._tab]

    def draw(self, part: Curves) -> None:
        """Hand the curve of the tab on."""
        shown = [series for tab, series in part.rates if tab == self.shown_tab]
        self.hand_on(shown, part)

    def action_tab(self, number: int) -> None:
        """Show the tab of that number."""
        self._tab = (number - 1) % len(self.TABS)
        self._name_tabs()
        if self._shown is not None:
            self.draw(self._shown)

    def next_tab(self) -> None:
        """Show the next tab."""
        self.action_tab(self._tab + 2)
