"""A closer look: the next batch as the network will see it, and checks that only torch can make."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from cockpit.ui.asking import QuestionError, ask
from cockpit.ui.panes.sights import finding, thumbnails

if TYPE_CHECKING:
    from cockpit.ui.app import CockpitApp
    from cockpit.ui.helm import Helm

BATCH = ("batch", "the next training batch, as the tricks leave it")
OF_RECIPE = (
    ("weights", "weights and signal of every layer, before training"),
    ("overfit_one_batch", "can the network learn one batch by heart?"),
    ("random_features", "a linear head on the untrained features"),
    ("lr_range", "sweep the learning rate"),
    ("noise_scale", "how large a batch pays"),
    ("sharpness", "top curvature of the loss"),
)
OF_RUN = (
    ("weights", "weights and signal of every layer, at the best checkpoint"),
    ("noise_scale", "how large a batch pays, there"),
    ("sharpness", "top curvature of the loss, there"),
)


class Inspection(ModalScreen[None]):
    """Choose a look; the answer appears below, a few seconds later."""

    app: CockpitApp
    HELP_TITLE = "Closer look"
    BINDINGS = [Binding("escape,q", "dismiss", "Close", key_display="esc")]

    def __init__(self, helm: Helm, first: str = "") -> None:
        super().__init__()
        self._helm, self._first = helm, first
        self._looks = (BATCH, *(OF_RUN if helm.run else OF_RECIPE))

    def compose(self) -> ComposeResult:
        """A list of looks and the answer."""
        with Vertical(classes="dialog inspection") as box:
            box.border_title = "A closer look"
            box.border_subtitle = "enter looks · esc closes"
            yield OptionList(*(self._option(*look) for look in self._looks), markup=False, compact=True)
            with VerticalScroll():
                yield Static("", classes="answer")

    @staticmethod
    def _option(name: str, purpose: str) -> Option:
        return Option(Content.assemble((f"{name:<18} ", "bold"), (purpose, "$foreground 60%")), id=name)

    def on_mount(self) -> None:
        """Ready; the first look may have been chosen by its key."""
        self.query_one(OptionList).focus()
        if self._first:
            self._look(self._first)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Look."""
        event.stop()
        self._look(event.option_id or "")

    def _look(self, name: str) -> None:
        listed = self.query_one(OptionList)
        listed.highlighted = listed.get_option_index(name)
        self._show(Content.styled(f"{name}: looking; torch takes a few seconds to come up …", "$foreground 60%"))
        self.run_worker(lambda: self._ask(name), thread=True, exclusive=True, group="look")

    def _ask(self, name: str) -> None:
        """In a thread: ask, then show."""
        consent = self.app.allow_code
        width = max(20, self.query_one(VerticalScroll).size.width - 2)
        try:
            if name == BATCH[0]:
                seen: Any = ask(self._helm, "preview", "--count", "12", allow_code=consent)
                answer = thumbnails(seen, width, colours=not os.environ.get("NO_COLOR"))
            else:
                command = "examine" if self._helm.run else "check"
                report = ask(self._helm, command, "--with", name, allow_code=consent)
                answer = Content("\n\n").join(finding(found, width) for found in report["checks"])
        except QuestionError as error:
            answer = Content.styled(str(error), "$text-error")
        self.app.call_from_thread(self._show, answer)

    def _show(self, answer: Content) -> None:
        if self.is_mounted:
            self.query_one(".answer", Static).update(answer)
