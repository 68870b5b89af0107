"""Text that is laid out anew only where it takes another number of lines."""

from textual.visual import VisualType
from textual.widgets import Static


class Lines(Static):
    """A static text. Textual's lays the whole screen out at every new text, which is most of what a frame would cost."""

    def update(self, content: VisualType = "", *, layout: bool | None = None) -> None:
        """Show a text; `layout` where the caller knows whether the widget takes another size."""
        super().update(content, layout=False)
        if layout is None:
            room = self.content_size
            layout = not room or self.get_content_height(self.size, self.app.size, room.width) != room.height
        if layout:
            self.refresh(layout=True)
