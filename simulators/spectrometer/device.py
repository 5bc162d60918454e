"""How the instrument behaves: requests in, replies out, no I/O and no clock.

Rules of this file
* `receive` takes bytes, `collect` gives what is due by a time, `next_event_s` says when to come
  back. The caller owns the clock; times are seconds of any monotonic clock.
* A query is answered with its own type and the response bit; a setting is silent unless an
  acknowledgement was asked for. `regarding`, version and checksum type are the request's.
* What each message does is an act: most are in `capabilities.py`; here are those that touch the
  conversation itself (reset, baud rate, spectra).
* While a spectrum is exposed, what would change the exposure is refused with error 7; abort,
  reset, light off and plain questions are obeyed at once.

What data sheets leave open is decided here and listed in docs/simulators.md.
"""

import struct
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from simulators.line import Reply
from simulators.spectrometer.capabilities import Act, Call, Capabilities, RefusedError, unpack
from simulators.spectrometer.frames import (
    TRAILER_BYTES,
    Checksum,
    Error,
    Flag,
    Frame,
    FrameReader,
    Rejection,
    encode,
)
from simulators.spectrometer.messages import MESSAGES, Message, Type
from simulators.spectrometer.models import Model
from simulators.spectrometer.probe import Exposure, Probe
from simulators.world import Sample, Substance

BOOT_S = 0.3  # s of deafness after a reset; chosen
BAUD_DEFAULT = 9600
BAUDS = (2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800)
METADATA_BYTES = 32  # python-seabreeze, QE Pro
REPLIES_MAX = 64  # replies waiting for the line; more are lost, as in a full transmit buffer


@dataclass(slots=True)
class Counts:
    """What happened, for tests and for the person at the terminal."""

    requests: int = 0
    refusals: int = 0
    spectra: int = 0
    aborted: int = 0
    resets: int = 0
    replies_lost: int = 0


class Spectrometer:
    """One instrument.

    Args:
        model: what it is, from `models.MODELS`.
        substances: the library samples are made of, from `world.load_substances`.
        seed: which individual of its model it is, and all its noise.
        now_s: the caller's clock at power-on.
        baud: the rate stored in it.
        laser_drift_nm: by which the laser has moved since the maker's calibration.

    Attributes:
        is_broken: its detector has failed: every spectrum is answered with the hardware error flag.

    Raises:
        ValueError: a baud rate the instrument does not have.
    """

    def __init__(
        self,
        model: Model,
        substances: Mapping[str, Substance],
        *,
        seed: int = 0,
        now_s: float = 0.0,
        baud: int = BAUD_DEFAULT,
        laser_drift_nm: float = 0.0,
    ) -> None:
        self.model = model
        self.probe = Probe(model, substances, seed, now_s, laser_drift_nm)
        self.capabilities = Capabilities(model, self.probe)
        self.counts = Counts()
        self.is_broken = False
        self.store_baud(baud)
        self._reader = FrameReader()
        self._messages: Mapping[int, Message] = MESSAGES
        self._with_metadata: frozenset[int] = frozenset({Type.SPECTRUM_BUFFERED})
        self._replies: deque[Reply] = deque()
        self._spectrum_request: Frame | None = None
        self._now_s = self._deaf_until_s = now_s
        self._has_lost_settings = False
        self._acts: dict[int, Act] = self.capabilities.acts | {
            Type.RESET: lambda call: self._reset(call.now_s),
            Type.RESET_DEFAULTS: self._restore_defaults,
            Type.TYPES_SUPPORTED: self._list_types,
            Type.BAUD: lambda _: struct.pack("<I", self.baud),
            Type.BAUD_SET: self._set_baud,
            Type.BAUD_SAVE: self._save_baud,
            Type.ABORT: self._abort,
            Type.SPECTRUM_CORRECTED: self._begin_exposure,
            Type.SPECTRUM_RAW: self._begin_exposure,
        }
        if model.has_buffer:
            self._acts |= {
                # Nothing is exposed before it is asked for, so the buffer is always empty.
                Type.BUFFER_CLEAR: lambda _: b"",
                Type.BUFFER_COUNT: lambda _: struct.pack("<I", 0),
                Type.SPECTRUM_BUFFERED: self._begin_exposure,
            }

    @property
    def serial_number(self) -> str:
        """As printed on the housing."""
        return self.probe.unit.serial_number

    def store_baud(self, baud: int) -> None:
        """Change the stored baud rate, as the maker does before delivery.

        Raises:
            ValueError: a rate the instrument does not have.
        """
        if baud not in BAUDS:
            raise ValueError(f"baud rate {baud} is not one of {', '.join(map(str, BAUDS))}")
        self.baud = self._saved_baud = baud

    def present(self, sample: Sample, now_s: float | None = None) -> None:
        """Hold another sample to the probe; in an exposure it counts from then on.

        Args:
            sample: what to present.
            now_s: when; None = when the device last heard of the time.

        Raises:
            WorldError: the sample names something unknown.
        """
        self.probe.present(sample, self._now_s if now_s is None else now_s)

    def reset_unexpectedly(self, now_s: float) -> None:
        """Lose power for a moment: settings are gone and the next request learns of it."""
        self._reset(now_s)
        self._has_lost_settings = True

    # --------------------------------------------------------------------------- the line's side

    def receive(self, data: bytes, now_s: float) -> None:
        """Take bytes from the line. Whatever they are, nothing is raised."""
        self._now_s = now_s
        self._finish_exposure(now_s)
        if now_s < self._deaf_until_s:
            return
        for item in self._reader.feed(data, now_s):
            if now_s >= self._deaf_until_s:  # a reset among them makes deaf for the rest
                self._take(item, now_s)

    def collect(self, now_s: float) -> list[Reply]:
        """Replies that are due, in order; each is given once."""
        self._now_s = now_s
        for item in self._reader.expire(now_s):
            self._take(item, now_s)
        self._finish_exposure(now_s)
        due = list(self._replies)
        self._replies.clear()
        return due

    def next_event_s(self) -> float | None:
        """When `collect` has something to do without new bytes; None = nothing is under way."""
        times = [] if self.probe.exposure is None else [self.probe.exposure.ends_s]
        if (deadline_s := self._reader.deadline_s) is not None:
            times.append(deadline_s)
        return min(times, default=None)

    # ------------------------------------------------------------------------------ conversation

    def _take(self, item: Frame | Rejection, now_s: float) -> None:
        """Answer one frame."""
        request = item.frame if isinstance(item, Rejection) else item
        if request.flags & Flag.RESPONSE:  # our own words, echoed by a two-wire line
            return
        self.counts.requests += 1
        known = request.message_type in self._acts
        message = self._messages[request.message_type] if known else Message()
        is_silent = self._is_silent(request, message)
        try:
            answer = self._answer(item, message, now_s)
        except RefusedError as refusal:
            self.counts.refusals += 1
            # A frame that arrived broken is always answered: its own wish for silence is in doubt.
            if not is_silent or isinstance(item, Rejection):
                self._reply(request, Flag.RESPONSE | Flag.NACK, error=refusal.error)
            return
        if answer is not None and not is_silent:
            acknowledge = Flag.ACK if request.flags & Flag.ACK_REQUESTED else 0
            self._reply(request, Flag.RESPONSE | acknowledge, answer)
        if request.message_type == Type.BAUD_SET:
            (baud,) = unpack(message.layout, request.data)
            self._queue(Reply(b"", baud_after=baud))

    @staticmethod
    def _is_silent(request: Frame, message: Message) -> bool:
        """Whether the client wants no answer, good or bad."""
        return not (message.is_query or request.flags & Flag.ACK_REQUESTED)

    def _answer(self, item: Frame | Rejection, message: Message, now_s: float) -> bytes | None:
        """Do what a good request asks and return the data of its answer.

        Raises:
            RefusedError: the request is broken, unknown, wrong or comes at a wrong time.
        """
        if isinstance(item, Rejection):
            raise RefusedError(item.error)
        if self._has_lost_settings and not self._is_silent(item, message):
            self._has_lost_settings = False
            raise RefusedError(Error.RESET_UNEXPECTEDLY)
        if item.message_type not in self._acts:
            raise RefusedError(Error.UNKNOWN_TYPE)
        arguments = unpack(message.layout, item.data)
        if message.alters_exposure and self.probe.exposure is not None:
            raise RefusedError(Error.NOT_READY)
        return self._acts[item.message_type](Call(item, arguments, now_s))

    def _reply(
        self, request: Frame, flags: int, data: bytes = b"", error: Error = Error.NONE
    ) -> None:
        """Queue the reply to a request, in its version and with its checksum type or ours."""
        versions = self._reader.versions
        asked = request.checksum_type if request.checksum_type == Checksum.MD5 else Checksum.NONE
        frame = Frame(
            message_type=request.message_type,
            data=data,
            flags=flags,
            error=error,
            regarding=request.regarding,
            checksum_type=asked or self.capabilities.settings.checksum_type,
            version=request.version if request.version in versions else max(versions),
        )
        data = encode(frame)
        self._queue(Reply(data, check_at=len(data) - TRAILER_BYTES))

    def _queue(self, reply: Reply) -> None:
        if len(self._replies) >= REPLIES_MAX:
            self.counts.replies_lost += 1
        else:
            self._replies.append(reply)

    def _reset(self, now_s: float) -> None:
        """Start anew: deaf for a while, settings and unsaved baud rate forgotten, light off."""
        self.counts.resets += 1
        self.probe.abort()
        self._spectrum_request = None
        self._reader.clear()
        self._replies.clear()
        self.capabilities.restore(now_s)
        self.baud = self._saved_baud
        self._deaf_until_s = now_s + BOOT_S

    def _restore_defaults(self, call: Call) -> bytes:
        self.capabilities.restore(call.now_s)
        return b""

    def _list_types(self, _: Call) -> bytes:
        return b"".join(struct.pack("<I", number) for number in sorted(self._acts))

    def _set_baud(self, call: Call) -> bytes:
        (baud,) = call.arguments
        if baud not in BAUDS:
            raise RefusedError(Error.INVALID_PAYLOAD)
        return b""

    def _save_baud(self, _: Call) -> bytes:
        self._saved_baud = self.baud
        return b""

    # ---------------------------------------------------------------------------------- exposure

    def _begin_exposure(self, call: Call) -> None:
        """Start a spectrum; its answer comes when the light is gathered."""
        settings = self.capabilities.settings
        duration_s = settings.integration_us * settings.scans / 1e6
        self._spectrum_request = call.request
        self.probe.begin(
            Exposure(
                integration_us=settings.integration_us,
                scans=settings.scans,
                boxcar=settings.boxcar,
                binning=settings.binning,
                is_corrected=call.request.message_type == Type.SPECTRUM_CORRECTED,
                ends_s=call.now_s + duration_s,
                gathered_e=np.zeros(self.model.pixel_count),
            ),
            call.now_s,
        )

    def _finish_exposure(self, now_s: float) -> None:
        """Send the spectrum if its time is over."""
        exposure, request = self.probe.exposure, self._spectrum_request
        if exposure is not None and request is not None and now_s >= exposure.ends_s:
            self._spectrum_request = None
            if self.is_broken:
                self.probe.abort()
                self.counts.refusals += 1
                failed = Flag.RESPONSE | Flag.NACK | Flag.HARDWARE_EXCEPTION
                self._reply(request, failed, error=Error.INTERNAL)
                return
            self.counts.spectra += 1
            pixels = self.probe.finish().astype(f"<u{self.model.pixel_bytes}").tobytes()
            if request.message_type in self._with_metadata:
                pixels = self._metadata(exposure) + pixels
            self._reply(request, Flag.RESPONSE, pixels)

    def _metadata(self, exposure: Exposure) -> bytes:
        """What lies before a buffered spectrum; its layout is chosen, its length is not."""
        ends_us = int(exposure.ends_s * 1e6)
        told = struct.pack("<IQI", self.counts.spectra, ends_us, exposure.integration_us)
        return told.ljust(METADATA_BYTES, b"\0")

    def _abort(self, _: Call) -> bytes:
        """End the exposure; whoever waits for it learns that there is no spectrum."""
        if self._spectrum_request is not None:
            self.counts.aborted += 1
            request, self._spectrum_request = self._spectrum_request, None
            self._reply(request, Flag.RESPONSE | Flag.NACK, error=Error.DOES_NOT_EXIST)
        self.probe.abort()
        return b""
