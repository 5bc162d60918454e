"""Letters on their way to the broker: published, and kept until it has acknowledged them.

The MQTT client's own `publish` costs a task and two waits for each message, and looks through all
those under way: 150 us for a receipt, of which a busy post sends thousands in a second. So the
client under it is asked directly, and its acknowledgements are taken as they come.
"""

import asyncio
from typing import Final

import aiomqtt
from paho.mqtt.client import MQTT_ERR_SUCCESS

from gateway import wire
from gateway.fleet.outgoing import Letter, Outgoing

IN_FLIGHT_MAX: Final = 64  # what waits beyond that is replaced by what is newer
ACKNOWLEDGED_S_MAX: Final = 10.0  # a broker that is silent for longer is as good as gone


class Sending:
    """What one connection sends.

    Args:
        client: connected; nobody else publishes by it.
        outgoing: gives the letters, and takes back what was not acknowledged.
        acknowledged_s_max: how long the broker may take for it.
    """

    def __init__(
        self,
        client: aiomqtt.Client,
        outgoing: Outgoing,
        *,
        acknowledged_s_max: float = ACKNOWLEDGED_S_MAX,
    ) -> None:
        self._inner = client._client  # noqa: SLF001 - nothing public publishes without waiting
        self._inner.on_publish = self._acknowledged
        self._outgoing = outgoing
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
        """Look whether the broker still acknowledges."""
        for _, sent_s in self._letters.values():  # the oldest comes first
            if self._now_s() - sent_s > self._acknowledged_s_max:
                raise aiomqtt.MqttError(
                    f"the broker has not acknowledged a message for {self._acknowledged_s_max:g} s"
                )
            return

    def _acknowledged(self, _client: object, _userdata: object, mid: int, *_: object) -> None:
        self._letters.pop(mid, None)
        self._acknowledgement.set()
