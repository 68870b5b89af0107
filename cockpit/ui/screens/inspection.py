"""A closer look: the next batch as the network will see it, and checks that only torch can make."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option
from textual.worker import get_current_worker

from cockpit.ui.asking import QuestionError, ask
from cockpit.ui.panes.sights import finding, thumbnails

if TYPE_CHECKING:
    from cockpit.ui.app import CockpitApp
    from cockpit.ui.helm import Helm

Answer = Callable[[int], Content]
"""What to show, for a width."""
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
    ("robust_accuracy", "accuracy under attack, by its strength"),
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
            self.call_after_refresh(self._look, self._first)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Look."""
        event.stop()
        self._look(event.option_id or "")

    def _look(self, name: str) -> None:
        listed = self.query_one(OptionList)
        listed.highlighted = listed.get_option_index(name)
        self._show(lambda _: Content.styled(f"{name}: looking; torch takes a few seconds to come up …", "$foreground 60%"))
        self.run_worker(lambda: self._ask(name), thread=True, exclusive=True, group="look")

    def _ask(self, name: str) -> None:
        """In a thread: ask, then show, unless something else was asked for meanwhile."""
        worker = get_current_worker()
        try:
            answer = self._answer(name, lambda: worker.is_cancelled)
        except QuestionError as error:
            answer = partial(_fault, str(error))
        if not worker.is_cancelled:
            self.app.call_from_thread(self._show, answer)

    def _answer(self, name: str, given_up: Callable[[], bool]) -> Answer:
        asked = partial(ask, self._helm, allow_code=self.app.allow_code, given_up=given_up)
        if name == BATCH[0]:
            seen = asked("preview", "--count", "12")
            return partial(thumbnails, seen, colours=not os.environ.get("NO_COLOR"))
        report = asked("examine" if self._helm.run else "check", "--with", name)
        return partial(_findings, report["checks"])

    def _show(self, answer: Answer) -> None:
        if self.is_mounted:
            width = self.query_one(VerticalScroll).size.width or self.size.width
            self.query_one(".answer", Static).update(answer(max(20, width - 2)))


def _findings(found: list[dict[str, Any]], width: int) -> Content:
    return Content("\n\n").join(finding(each, width) for each in found)


def _fault(text: str, _: int) -> Content:
    return Content.styled(text, "$text-error")
