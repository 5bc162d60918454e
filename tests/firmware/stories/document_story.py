"""The document reader's driver and its parser; results are lines.

document_story.py REPOSITORY FOLDER streams COUNT    what becomes of random streams
document_story.py REPOSITORY FOLDER affixes COUNT    prefixes and suffixes of up to COUNT characters
document_story.py REPOSITORY FOLDER PORT COUNT WAIT_MS PREFIX SUFFIX    so many calls of `next`
"""
# ruff: noqa: T201

import sys

REPOSITORY, FOLDER, PORT, COUNT = sys.argv[1:5]
for path in (REPOSITORY + "/firmware", REPOSITORY, REPOSITORY + "/tests/protocol"):
    sys.path.insert(0, path)

from frames import Random  # noqa: E402 - of the tests of the protocol

from drivers.document import frames  # noqa: E402
from protocol.mrz import kind_of, wrong_fields  # noqa: E402

GOOD = (
    b"P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\rL898902C36UTO7408122F1204159ZE184226B<<<<<10\r"
)
PIECES = (GOOD, GOOD[:45], GOOD[45:], GOOD[:-9], b"\x02", b"\x03", b"\r\n", b"<" * 30 + b"\r")


def stream(random):
    """Return a stream of up to 400 bytes, some of it parts of zones."""
    made = b""
    for _ in range(random.below(8)):
        if random.below(2):
            made += PIECES[random.below(len(PIECES))]
        else:
            made += bytes([random.below(256) for _ in range(random.below(40))])
    return made[:400]


def take(parser, content, step, found):
    for at in range(0, len(content), step):
        piece = content[at : at + step]
        parser.feed(piece, len(piece))
        zone = parser.next()
        while zone is not None:
            found.append(zone)
            zone = parser.next()


def streams(count):
    """Print what a parser makes of seeded streams, and whether it finds what comes after each."""
    random = Random(20)
    parser = frames.Parser(b"", b"")
    good = GOOD.replace(b"\r", b"")
    zones = misreads = lost = 0
    for _ in range(count):
        found = []
        take(parser, stream(random), 1 + random.below(64), found)
        rest = parser.finish()  # a pause
        if rest is not None:
            found.append(rest)
        for zone in found:
            kind = kind_of(zone)
            misreads += not zone
            zones += kind != "" and not wrong_fields(kind, zone)
        after = []
        take(parser, GOOD, 64, after)
        lost += after != [good]
        assert len(parser._line) == frames.LINE_BYTES_MAX
        assert len(parser._zone) == frames.LINES_MAX * frames.LINE_BYTES_MAX
        assert len(parser._widths) <= frames.LINES_MAX
        assert not any(parser._line) and not any(parser._zone)  # noqa: PT018
    print(zones, misreads, lost, parser.dropped_bytes)


def affixes(count):
    """Print how many zones with something around them were found wrong."""
    digits = b"0123456789" * 9
    tried = wrong = 0
    pairs = (
        (b"[MRZ:#1]", b"{end}#!;"),
        (b"AB12<CDE", b"<<<<<<<<"),
        (b"########", b"########"),
        (b"[#MRZ:#]", b"#]#:#]#:"),
    )
    for prefix, suffix in pairs:
        for i in range((count + 1) ** 2):
            begin, end = prefix[: i // (count + 1)], suffix[: i % (count + 1)]
            for width, lines in ((30, 3), (36, 2), (44, 2)):
                zone = [digits[at : at + width] for at in range(lines)]
                for between in (b"\r", b"\r\n", b"\n", b""):
                    for behind in (b"\r", b"\r\x03", b""):
                        parser, found = frames.Parser(begin, end), []
                        take(parser, begin + between.join(zone) + end + behind, 64, found)
                        rest = parser.finish()  # a pause
                        if rest is not None:
                            found.append(rest)
                        tried += 1
                        wrong += found != [b"".join(zone)]
    print(tried, "zones,", wrong, "wrong")


async def listen(wait_ms, prefix, suffix):
    """Print what each call of `next` gives."""
    settings = {"port": PORT, "baud": 460_800, "repeat_ms": 1_000}
    settings.update(prefix=prefix, suffix=suffix)
    driver = Driver(Board(FOLDER), settings)
    await driver.open()
    print(await driver.identify())
    for _ in range(int(COUNT)):
        print("next")
        try:
            print(await driver.next(wait_ms))
        except InstrumentError as error:
            print(error.__class__.__name__, str(error).replace(PORT, "PORT"))
            if not isinstance(error, Misread):
                break
    print("misread", driver.misread_count, "repeated", driver.repeat_count)
    await driver.close()


if PORT == "streams":
    streams(int(COUNT))
elif PORT == "affixes":
    affixes(int(COUNT))
else:
    import asyncio

    from boards.unix import Board
    from drivers.document.driver import Driver
    from node.errors import InstrumentError, Misread

    asyncio.run(listen(int(sys.argv[5]), *sys.argv[6:8]))
