"""What the broker's log says, counted and told; who floods with what it may not send is ended.

mosquitto drops what its access list does not allow, and says so of each message. All of one client
in a piece of the log is one word here: a flood costs the gateway's loop little, and the broker,
which waits until its log is read, is not held up for the others.
"""

import asyncio
from collections.abc import Callable, Container
from typing import Final

from gateway.ingest.flood import Flood
from gateway.ingest.intake import text_of_revoked, text_of_unknown
from gateway.ingest.mosquitto import OPENED, TAKEN_OVER, Word, Words
from gateway.observe.counters import Counters
from gateway.observe.log import Log
from gateway.observe.throttle import Throttle

LOG_PIECE_BYTES: Final = 65_536  # what a pipe holds
# Whoever has the authority's key has as many names as he likes; a post that was moved has a few.
STRANGERS_TOLD_MAX: Final = 32
_FLOOD: Final = (
    "{} opens connection after connection to the nodes' listener. Take that device off the network;"
    " `harmattan docs install#a-bound-for-each-address` has a rule for the firewall that bounds it"
)


class Overheard:
    """Takes the broker's log into ours.

    Args:
        post: whose topics the nodes use.
        nodes: of the post.
        nodes_port: where they connect.
        revoked: returns the nodes whose certificates are revoked, as of now.
        dropped: told the name of a client of whose messages the broker has dropped so many.
        why_ended: returns why we ended the connection of a client; empty: we did not.
        misbehaved: told the name of a node that publishes on foreign topics, and how often.
        clock_fault: returns what is wrong with this computer's clock; empty: nothing.
    """

    def __init__(  # noqa: PLR0913 - the parts it joins
        self,
        post: str,
        nodes: frozenset[str],
        nodes_port: int,
        *,
        revoked: Callable[[], Container[str]],
        dropped: Callable[[str, int], None],
        why_ended: Callable[[str], str],
        misbehaved: Callable[[str, int], None],
        clock_fault: Callable[[], str],
        counters: Counters,
        log: Log,
    ) -> None:
        self._post = post
        self._nodes = nodes
        self._nodes_port = str(nodes_port)
        self._revoked = revoked
        self._dropped = dropped
        self._why_ended = why_ended
        self._misbehaved = misbehaved
        self._clock_fault = clock_fault
        self._counters = counters
        self._log = log
        self._throttle = Throttle()
        self._strangers: set[str] = set()  # who are told apart
        self._flood = Flood(len(nodes))

    async def fold(self, stream: asyncio.StreamReader | None) -> str:
        """Take what the broker says until it ends; return its last complaint."""
        words = Words(self._post)
        if stream is not None:
            while piece := await stream.read(LOG_PIECE_BYTES):
                for word in words.take(piece):
                    self._take(word)
        return words.last

    def _take(self, word: Word) -> None:
        """Take one word; what repeats is counted."""
        match word.event:
            case "broker_log":
                self._log.warning("broker_log", text=word.text)
            case "message_barred":
                self._take_shut(word)
            case "topic_foreign":
                self._dropped(word.client, word.count)
                self._tell(word, word.client if word.client in self._nodes else "")
                self._misbehaved(word.client, word.count)
            case event if event == TAKEN_OVER:
                # Else a node has connected anew before it was gone.
                text = self._why_ended(word.client)
                if text:
                    self._log.info("node_disconnected", node=word.client, text=text)
            case event if event == OPENED:
                is_ours = word.text not in {"", self._nodes_port}
                now_s = asyncio.get_running_loop().time()
                if not is_ours and self._flood.opened(word.client, now_s):
                    self._tell(
                        Word("connection_flood", _FLOOD.format(word.client), word.client), ""
                    )
            case _:
                self._tell(word, "")

    def _take_shut(self, word: Word) -> None:
        """Take word of a publish on a client's own topics: it is shut out, or of no post."""
        node, count = word.client, word.count
        self._dropped(node, count)
        if node in self._revoked():
            word = Word("node_revoked", text_of_revoked(node), node, count)
            self._tell(word, node, label="node")
        elif node not in self._nodes:
            self._tell(Word("node_unknown", text_of_unknown(node), node, count), "", label="node")
        else:
            self._counters.count("message_barred", node, count)

    def _tell(self, word: Word, subject: str, *, label: str = "client") -> None:
        """Count a word, and tell it unless it was told just now."""
        self._counters.count(word.event, subject, word.count)
        now_s, about = asyncio.get_running_loop().time(), word.client
        if word.event in {"node_unknown", "topic_foreign"} and about not in self._nodes:
            if len(self._strangers) < STRANGERS_TOLD_MAX:
                self._strangers.add(about)
            about = about if about in self._strangers else ""
        quiet = self._throttle.tell(word.event, about, now_s, word.count)
        if quiet is None:
            return
        text, fault = word.text, self._clock_fault()
        if word.event == "certificate_refused" and fault:
            text = f"a client was refused for its certificate: {fault}"
        self._log.warning(word.event, text=text, unmentioned=quiet, **{label: word.client})
