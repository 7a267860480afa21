"""What is longer than the screen, scrolled by the keys of the screen that it is on."""

from textual.containers import VerticalScroll


class Reading(VerticalScroll, inherit_bindings=False, can_focus=False):
    """Scrolls at once, so that the next key finds it scrolled; keys of its own would hide a list's."""

    def turn(self, way: str) -> None:
        """Go a line `up` or `down`, a `page_up` or a `page_down`, `home` or to the `end`."""
        page = max(1, self.size.height - 1)
        steps = {"up": -1, "down": 1, "page_up": -page, "page_down": page, "home": -self.max_scroll_y}
        place = self.scroll_y + steps.get(way, self.max_scroll_y)
        self.scroll_to(y=place, animate=False, immediate=True)
