"""What came of deliveries that the journal could not take yet: bounded, saved later.

While the disk is full every alert goes out once, in its turn; without this memory the first one
would go out over and over. A kill forgets it: then alerts go out again, and the authority knows
them by their identity.
"""

from dataclasses import dataclass, field
from typing import Final

import apsw

from gateway.journal import outbox

UNSAVED_MAX: Final = 4_096  # 2 MB of receipts; more alerts than that wait for the disk


@dataclass(slots=True)
class Failed:
    """Failed attempts of one alert: how many, and why the last one failed."""

    count: int
    fault: str


@dataclass(slots=True)
class Unsaved:
    """Receipts and failed attempts, by alert."""

    receipts: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    attempts: dict[str, Failed] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.receipts or self.attempts)

    @property
    def is_full(self) -> bool:
        """Whether no more may be delivered before some are saved."""
        return len(self.receipts) >= UNSAVED_MAX

    def delivered(self, alert_id: str, receipt: bytes, receipt_ms: int) -> None:
        """Note a receipt."""
        self.receipts[alert_id] = (receipt, receipt_ms)

    def failed(self, alert_id: str, fault: str) -> None:
        """Note a failed attempt; of too many the oldest are forgotten."""
        earlier = self.attempts.pop(alert_id, None)
        self.attempts[alert_id] = Failed(earlier.count + 1 if earlier else 1, fault)
        while len(self.attempts) > UNSAVED_MAX:
            del self.attempts[next(iter(self.attempts))]

    def held(self, *, only_new: bool) -> list[str]:
        """Return the alerts that the journal takes for waiting, or for new, and are not."""
        tried = self.attempts if only_new else ()
        return [*self.receipts, *tried]

    def take(self) -> "Unsaved":
        """Return all of it, to be saved; from here on it is empty."""
        taken = Unsaved(self.receipts, self.attempts)
        self.receipts, self.attempts = {}, {}
        return taken

    def give_back(self, taken: "Unsaved") -> None:
        """Take back what could not be saved; nothing has been noted since."""
        self.receipts, self.attempts = taken.receipts, taken.attempts

    def save(self, connection: apsw.Connection) -> None:
        """Save all of it, in the writer's transaction; it may run twice."""
        for alert_id, failed in self.attempts.items():  # an alert that is delivered takes no more
            outbox.save_attempt(connection, alert_id, failed.fault, failed.count)
        for alert_id, (receipt, receipt_ms) in self.receipts.items():
            outbox.save_receipt(connection, alert_id, receipt, receipt_ms)
