"""Letters on their way to the broker: published, and kept until it has acknowledged them.

The MQTT client's own `publish` costs a task and two waits for each message, and looks through all
those under way. A receipt goes to every node at every batch, thousands in a second. So the client
under it is asked directly, and its acknowledgements are taken as they come.
"""

import asyncio
from typing import Final

import aiomqtt
from paho.mqtt.client import MQTT_ERR_SUCCESS

from gateway import wire
from gateway.fleet.outgoing import Letter, Outgoing

IN_FLIGHT_MAX: Final = 64  # what waits beyond that is replaced by what is newer
SILENT_S_MAX: Final = 10.0  # a broker of which nothing comes for longer is as good as gone
# Where other messages come: acknowledgements wait behind a flood for a second or two, until its
# node is barred. A broker that is full drops some, and those never come: that takes their places
# from other letters, and a new connection gives them back. It must not wait when all are taken.
ACKNOWLEDGED_S_MAX: Final = 30.0


class Sending:
    """What one connection sends.

    Args:
        client: connected; nobody else publishes by it.
        outgoing: gives the letters, and takes back what was not acknowledged.
        silent_s_max: how long the broker may say nothing while it has something to acknowledge.
        acknowledged_s_max: how long it may take for that, whatever else it says.
    """

    def __init__(
        self,
        client: aiomqtt.Client,
        outgoing: Outgoing,
        *,
        silent_s_max: float = SILENT_S_MAX,
        acknowledged_s_max: float = ACKNOWLEDGED_S_MAX,
    ) -> None:
        self._inner = client._client  # noqa: SLF001 - nothing public publishes without waiting
        self._inner.on_publish = self._acknowledged
        self._outgoing = outgoing
        self._silent_s_max = silent_s_max
        self._acknowledged_s_max = acknowledged_s_max
        self._letters: dict[int, tuple[Letter, float]] = {}  # by packet, with when it was sent
        self._acknowledgement = asyncio.Event()
        self._now_s = asyncio.get_running_loop().time

    async def send(self, s_max: float) -> None:
        """Publish what waits, as far as there is room; wait at most so long for room or a letter.

        Raises:
            aiomqtt.MqttError: there is no connection, or the broker has been silent for too long.
        """
        self._look()
        if len(self._letters) < IN_FLIGHT_MAX:
            self._publish(await self._outgoing.take(IN_FLIGHT_MAX - len(self._letters), s_max))
            return
        self._acknowledgement.clear()
        try:
            async with asyncio.timeout(s_max):
                await self._acknowledgement.wait()
        except TimeoutError:
            return

    def give_back(self) -> None:
        """Give back what the broker has not acknowledged."""
        self._outgoing.put_back([letter for letter, _ in self._letters.values()])
        self._letters.clear()

    def _publish(self, letters: list[Letter]) -> None:
        count = 0
        try:
            for letter in letters:
                payload = wire.encode(letter.message)
                sent = self._inner.publish(letter.topic, payload, qos=1, retain=letter.retain)
                if sent.rc != MQTT_ERR_SUCCESS:
                    raise aiomqtt.MqttCodeError(sent.rc, "cannot publish")
                self._letters[sent.mid] = letter, self._now_s()
                count += 1
        finally:
            if count < len(letters):
                self._outgoing.put_back(letters[count:])

    def _look(self) -> None:
        """Look whether the broker still speaks, and still acknowledges.

        Raises:
            aiomqtt.MqttError: it does not.
        """
        for _, sent_s in self._letters.values():  # the oldest comes first
            heard_s = self._inner._last_bytes_received  # noqa: SLF001 - nothing public tells it
            if self._now_s() - max(sent_s, heard_s) > self._silent_s_max:
                raise aiomqtt.MqttError(f"the broker has said nothing for {self._silent_s_max:g} s")
            is_full = len(self._letters) >= IN_FLIGHT_MAX
            s_max = self._silent_s_max if is_full else self._acknowledged_s_max
            if self._now_s() - sent_s > s_max:
                raise aiomqtt.MqttError(
                    f"the broker has not acknowledged a message for {s_max:g} s"
                )
            return

    def _acknowledged(self, _client: object, _userdata: object, mid: int, *_: object) -> None:
        self._letters.pop(mid, None)
        self._acknowledgement.set()
