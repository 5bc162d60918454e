"""Every bound of the protocol: value, unit, reason. SPEC.md refers to these by name."""

PROTOCOL_VERSION = 1  # the `v1` of the topics; a changed meaning of a field needs a new number

MESSAGE_BYTES_MAX = 12_288  # a reading of 4096 pixels has at most 8,305 bytes; a third for appended
PIXELS_BYTES_MAX = 8_192  # 4096 pixels of 2 bytes; the largest instrument listed has 3648
CONTENT_BYTES_MAX = 7_168  # a QR code holds at most 7089 digits (ISO/IEC 18004)
COEFFICIENT_COUNT_MAX = 8  # OEM spectrometers store 4; 8 leaves room for a fifth-order refit
ARGUMENT_BYTES_MAX = 256  # a command's argument is a number or a short name
HEALTH_BYTES_MAX = 200  # one health message every five minutes must not matter on a 2.4 kbit/s link
DETAIL_CHARS_MAX = 128  # one sentence
NAME_CHARS_MAX = 32  # firmware, board, model and serial number as instruments print them
FAULT_CHARS_MAX = 48  # keeps health within HEALTH_BYTES_MAX
FINDING_CHARS_MAX = 48  # one line of a small display: names of substances, or the reason
TAIL_BYTES_MAX = 1_024  # the last dozen log lines; at 2.4 kbit/s they take 4 s
SYMBOLOGY_CHARS_MAX = 8  # an AIM identifier has 3; the names some readers send instead have 8
ID_BYTES = 8  # 64 random bits: a million identities collide with a probability of 3e-8

INTEGER_MAX = (1 << 53) - 1  # exact in every language a reader may use, JSON included
U16_MAX = (1 << 16) - 1
U32_MAX = (1 << 32) - 1

TEXT_CHARS_MAX = 255  # the subset has no longer form; one sentence needs 128
BINARY_BYTES_MAX = 65_535  # likewise; a message is bounded at 12,288 anyway
ARRAY_ELEMENTS_MAX = 64  # the largest message has 19 elements; room for appended fields
DEPTH_MAX = 3  # arrays in arrays: the message, a list in it, one spare level for appended fields

TOPIC_NAME_CHARS_MAX = 32  # post and node names; they are read aloud and printed on labels
TOPIC_CHARS_MAX = 96  # prefix, two names, the longest channel: 86

WINDOW_RECORDS = 8  # unreceipted records in flight: 8 x 4 kB fits a broker queue and a node's heap
WINDOW_RECORDS_MAX = 32  # bounds the offsets a node keeps and the ranges of a receipt
RESEND_MS = 5_000  # well above a commit on a slow SD card (about 1 s); less only makes duplicates
RESEND_MS_MIN = 100  # a tenth of a second: less would be a flood and not a repetition
RESEND_MS_MAX = 60_000  # the back-off stops doubling here, so a healed link is used within a minute
RECEIPT_RANGES_MAX = 16  # half of WINDOW_RECORDS_MAX: the worst case is every second record
LEDGER_RANGES_MAX = 1_024  # what the gateway keeps per journal above a gap; the rest is sent again
