"""What an instrument tells of itself, and what follows from the length of its spectra."""

import struct

from drivers.obp2.models import MODELS, NOT_HAD, infer_models
from node.errors import InstrumentUnsuited
from protocol.limits import COEFFICIENT_COUNT_MAX

if False:  # for the type checker: nothing of it is compiled
    from drivers.obp.exchange import Exchange
    from node.typed import Board, InstrumentSettings

METADATA_BYTES = 32  # before the pixels
_BYTES_MAX = 4 * (COEFFICIENT_COUNT_MAX + 1)


def check_settings(settings: "InstrumentSettings", board: "Board") -> None:
    """Refuse what this family does not do.

    Raises:
        InstrumentUnsuited: names the key; or there is a laser that this board could not switch:
            dark frames would have its light.
    """
    for key in NOT_HAD:
        if settings.get(key):
            raise InstrumentUnsuited(
                "instrument on %s: its driver does not do instrument.%s; leave it out of node.json"
                % (settings["port"], key)
            )
    if settings["laser_mw"] and getattr(board, "LASER_PIN", 0) is None:
        raise InstrumentUnsuited(
            "the laser beside the instrument on %s hangs on the board's LASER_PIN, which is "
            "None; wire it as hardware/laser_safety.md says, or set instrument.laser_mw to 0"
            % settings["port"]
        )


async def floats(
    exchange: "Exchange", settings: "InstrumentSettings", kind: str, message_type: int
) -> bytes:
    """Return coefficients as they are stored, 4 bytes each; the first float is none of them.

    Raises:
        InstrumentUnsuited: there are none, or none that could be used.
        InstrumentError: it does not answer.
    """
    data = bytes(await exchange.ask(message_type))
    if len(data) % 4 or not 4 < len(data) <= _BYTES_MAX:
        raise InstrumentUnsuited(
            "instrument on %s: %s coefficients of %d bytes; 8 to %d in fours are needed: have it "
            "calibrated" % (settings["port"], kind, len(data), _BYTES_MAX)
        )
    for at in range(4, len(data), 4):
        number = struct.unpack_from("<f", data, at)[0]
        if number - number != 0:  # infinite, or not a number
            raise InstrumentUnsuited(
                "instrument on %s: %s coefficient %d is %s; have it calibrated"
                % (settings["port"], kind, at // 4 - 1, number)
            )
    return data[4:]


def models_of(size: int, settings: "InstrumentSettings") -> "list[str]":
    """Return the models whose spectra have so many bytes, metadata and all.

    Raises:
        InstrumentUnsuited: none has, or not the one that node.json names.
    """
    named = settings["model"]
    models = infer_models((size - METADATA_BYTES) // 2, named) if size % 2 == 0 else []
    if models and (not named or models == [named]):
        return models
    names = [named] if named in MODELS else sorted(MODELS)
    raise InstrumentUnsuited(
        "instrument on %s, instrument.model %r, sent a spectrum of %d bytes; %s"
        % (
            settings["port"],
            named,
            size,
            ", ".join(["%s sends %d" % (n, 2 * MODELS[n][0] + METADATA_BYTES) for n in names]),
        )
    )
