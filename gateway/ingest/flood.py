"""Who opens connections to the broker without end: a device that is broken or hostile. Pure.

Each costs the broker half a millisecond of a core and more, whatever comes of it, and takes a place
for as long as it says nothing.
"""

from typing import Final

WINDOW_S: Final = 60.0
# A node connects anew after a second at the earliest, and waits longer each time. All of a post's
# nodes may come by one address, through a router, and come anew when the broker does.
OPENED_MIN: Final = 120
OPENED_PER_NODE: Final = 4
ADDRESSES_MAX: Final = 1_024  # that are told apart within a window; of more, the newest are not


class Flood:
    """Counts the connections of each address within a window.

    Args:
        nodes_count: of the post.
    """

    def __init__(self, nodes_count: int = 0) -> None:
        self._opened_max = OPENED_MIN + OPENED_PER_NODE * nodes_count
        self._begun_s = 0.0
        self._counts: dict[str, int] = {}

    def opened(self, address: str, now_s: float) -> bool:
        """Note a connection; say whether it is one too many of its address in this window.

        Args:
            address: whose it is.
            now_s: a clock that never goes back, seconds.
        """
        if now_s - self._begun_s >= WINDOW_S:
            self._begun_s, self._counts = now_s, {}
        if address not in self._counts and len(self._counts) >= ADDRESSES_MAX:
            return False
        count = self._counts[address] = self._counts.get(address, 0) + 1
        return count > self._opened_max
