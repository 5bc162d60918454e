"""Fills a journal with readings , as a node without a link has them."""

import os
import sys

REPOSITORY, _, FOLDER, COUNT, PIXELS = sys.argv[1:6]
sys.path.insert(0, REPOSITORY)
sys.path.insert(0, REPOSITORY + "/firmware")

from boards import unix  # noqa: E402
from node.journal import Journal  # noqa: E402
from protocol.messages import ROLE_SAMPLE, TIME_NONE, Reading  # noqa: E402

journal = Journal(FOLDER, unix.BUDGET, os.urandom, unix.Board(FOLDER).sync_folder)
journal.open()
for number in range(int(COUNT)):
    head = journal.journal_id, journal.next_seq, b"bootboot", 1_000 * number, None, TIME_NONE
    exposure = 400_000, 1, 100, None, 65_535, 0, None
    journal.append(
        Reading(
            *head, os.urandom(8), ROLE_SAMPLE, b"axisaxis", *exposure, os.urandom(2 * int(PIXELS))
        )
    )
