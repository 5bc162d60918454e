"""Bounds of the node: value, unit, reason. What a board limits further stands in `boards/`."""

# Serial line and instrument
CHUNK_BYTES = 256  # read at once from the port: 22 ms at 115200 baud, so a deadline is met closely
LINE_SLACK_MS = 200  # added to 2 x transfer time + exposure: the instrument's own turn-around
LASER_OFF_ATTEMPTS = 3  # "off" is worth repeating; each attempt has its own deadline
DEFERRALS_MAX = 8  # "response deferred" answers to one request before it is given up
DARK_AGE_MS_MAX = 10 * 60 * 1000  # detector temperature drifts; ten minutes is usual practice
COOLER_MS_MAX = 30_000  # for a detector to become cold: half of INSTRUMENT_SILENCE_MS
INTEGRATION_US_MAX = 85_000_000  # the slowest listed instrument; a longer value is a slip
EXPOSURE_MS_MAX = 10 * 60 * 1000  # integration x scans: longer than this nobody holds a sample
MEASURE_S_MAX = 10  # integration x scans that the node chooses by itself: a probe is held by hand
DARK_CHANGE_MC_MAX = 300  # dark current doubles in 7 K (silicon near room temperature): 3 % of it
DARKS_MAX = 4  # dark frames remembered, by number: two instruments' worth of exposures in use
LOOK_PIXELS = 256  # looked at between two turns of the loop: some milliseconds on a board
LASER_POLL_MS = 50  # between looks at the interlock; wiring is faster, this only says why
LASER_OFF_MS_MAX = 4_000  # beyond the transfer: three attempts at 9600 baud; who is longer hangs
LASER_CUT_MS = 500  # for a driver that hangs to be ended, before its port is closed
LASER_SLACK_MS = 2_000  # beyond twice the exposure and the transfer: switching on, a repetition
EVENT_HEAD_BYTES = 128  # of an event's frame all but its content: 83 at the most
ITEM_MS_MIN = 500  # nobody reads two items in less; what comes sooner is of one burst

# Tasks
RESTART_MS_MIN = 500  # a task that fails at once does not fill the log
RESTART_MS_MAX = 60_000  # a repaired cause is noticed within a minute
INSTRUMENT_MS_MAX = 5_000  # an instrument plugged in again is ready within seconds
HEALTHY_MS = 60_000  # a task that ran this long starts its back-off anew
TRACEBACK_CHARS_MAX = 1_500  # what is kept of the last failure
STOP_MS_MAX = 4_000  # for tasks to end by themselves: one laser-off exchange, one DISCONNECT
FAREWELL_MS_MAX = 1_000  # for the offline status; without it the will says the same
TASK_SILENCE_MS = 30_000  # without a report of a task that has nothing long to wait for
LINK_SILENCE_MS = 180_000  # a record of 8 kB, each piece WRITE_MS_MAX; a handshake takes less
INSTRUMENT_SILENCE_MS = 60_000  # beyond exposure and transfer: laser off three times, questions
POLL_MS = 10_000  # a task that waits for a person reports this often
ORDER_LOOK_MS = 500  # a scale that waits for a weight looks for orders this often
CRASH_MS_MIN = 600_000  # between two writes of the file `crash`: 144 a day at the worst
PROVEN_MS = 600_000  # a start that lasted this long ends a row of crashes
SAFE_MS = 30 * 60 * 1000  # of safe mode, then one full start: the cause may have gone
MUTE_MS = 5 * 60 * 1000  # before a start where safe mode itself crashes
MUTE_STEP_MS = 200  # shorter than any watchdog
HEARTBEAT_MS = 1_000  # feeds the watchdog and keeps the 53-bit uptime ahead of the tick wrap
TRIGGERS_MAX = 4  # presses waiting while a measurement runs; more are mistakes
REPLIES_MAX = 8  # messages waiting for the link (results, health); the oldest goes first
COMMANDS_REMEMBERED = 16  # answers kept for repeated command ids
LINE_CHARS_MAX = 64  # of a line on the button input
IDENTIFY_MS = 10_000  # long enough to walk along a row of lanes and see which one it is
IDENTIFY_BLINKS = 10  # in that time
REBOOT_MS_MAX = 5_000  # for the answer to leave; the node restarts then all the same
LOG_BYTES = 1_024  # of the log kept for `log_tail`: what fits into one answer
FOREIGN_RECEIPTS_MAX = 3  # one may be an old word of the broker; more are a name used twice

CONFIG_TRIAL_MS = 300_000  # without the gateway after a new config: three reconnects of a bad link

GATEWAY_SILENT_MS = 300_000  # no answer to a birth or record; a slow link takes a minute

# Broker
CONNECT_MS_MAX = 15_000  # TCP, and then CONNACK; a satellite link takes 3 s each way
HANDSHAKE_MS_MAX = 60_000  # TLS sends 2 kB each way: 14 s at 2400 bit/s, and four times 3 s
KEEP_ALIVE_S = 60  # the broker publishes the will after 1.5 x this silence
PING_MS = 10_000  # nothing heard for so long: ask
SILENCE_MS_MAX = 20_000  # nothing under way and nothing heard for so long: the link is dead
SLOW_MS_PER_KB = 5_000  # allowed for what is under way: 2400 bit/s, half as much again
PACE_RECENT_MS = 10_000  # acknowledgements of so long say how much may be under way
PIECE_BYTES = 1_024  # written at once: 3.4 s at 2400 bit/s, so that WRITE_MS_MAX sees progress
WRITE_MS_MAX = 15_000  # without a piece being taken
RECONNECT_MS_MIN = 500  # first wait, doubled after each failure
RECONNECT_MS_MAX = 30_000  # with jitter; a restarted gateway is found within half a minute
REFUSED_MS_MIN = 15_000  # certificates do not mend themselves, and a handshake costs the broker
REFUSED_MS_MAX = 300_000  # new ones count within five minutes, without anybody at the node
INBOUND_BYTES_MAX = 2_048  # the largest message towards a node is a receipt of about 350 bytes
UNACKED_MAX = 64  # PUBLISH packets without PUBACK: twice the largest window; more is a fault

# Time
ROUND_TRIP_MS_MAX = 10_000  # an echo older than this says nothing about now
DRIFT_PPM = 100  # crystal of a board, both ends of its temperature range
CLOCK_STEP_MS = 2_000  # a difference above this is a corrected clock, not noise

# Journal
SKIP_SEQ_MAX = (
    1 << 32
)  # a receipt further ahead than a node can ever be is nonsense, not a newer copy
DAMAGED_SEQS_MAX = 64  # numbers of damaged records remembered; more is a flash to be replaced
RESCUE_MS = 600_000  # for what a damaged partition holds to be sent; then the next is used
RESCUE_MS_HURRIED = 30_000  # the same when somebody waits to measure
FLASH_RETRY_MS = 5_000  # a journal that cannot be opened is tried again this often
RECEIPT_WAIT_MS = 2_000  # after CONNECT: the retained receipt comes first, so less is sent twice

# Reports
HEALTH_S = 300  # the usual interval until a config says otherwise
HEALTH_MS_MIN = 2_000  # state changes closer than this share one message
FAULT_TEXT_CHARS_MAX = 240  # of the text in a `fault` signal
SET_ASIDE_MAX = 2  # unusable journals kept for examination; older ones go
