-- Version 6. A record is a frame as the node sent it; everything else can be made from records again.
-- Columns that came later stand last, as they do in a file that was brought up to date.

CREATE TABLE records (
    id          INTEGER PRIMARY KEY,
    node        TEXT    NOT NULL,
    journal_id  BLOB    NOT NULL,
    seq         INTEGER NOT NULL,
    kind        INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,           -- wall time of the gateway, a label
    frame       BLOB    NOT NULL,           -- empty: evicted; the row says that it was committed
    crc         INTEGER,                    -- CRC-32 of the frame as it came; NULL: none was kept
    dark_seq    INTEGER,                    -- the dark frame that it needs; NULL: none, or not known
    UNIQUE (node, journal_id, seq)          -- delivered twice, committed once
) STRICT;

CREATE INDEX records_of_darks ON records (node, journal_id, dark_seq) WHERE dark_seq IS NOT NULL;

-- What may be evicted, the least valuable first; see gateway/journal/retention.py.
CREATE TABLE evictable (
    rank        INTEGER NOT NULL,
    record_id   INTEGER NOT NULL,
    PRIMARY KEY (rank, record_id)
) STRICT, WITHOUT ROWID;

-- What the ledger of a journal starts from: everything up to `seq` is committed or will never come.
CREATE TABLE journals (
    node        TEXT    NOT NULL,
    journal_id  BLOB    NOT NULL,
    seq         INTEGER NOT NULL,
    evicted_seq INTEGER NOT NULL DEFAULT 0, -- rows up to here may be gone; what comes again is old
    PRIMARY KEY (node, journal_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE axes (
    node        TEXT    NOT NULL,
    axis_id     BLOB    NOT NULL,
    birth       BLOB    NOT NULL,           -- the frame that brought the axis
    PRIMARY KEY (node, axis_id)
) STRICT, WITHOUT ROWID;

-- The newest word of each node about itself.
CREATE TABLE nodes (
    node        TEXT    NOT NULL PRIMARY KEY,
    boot_id     BLOB,                       -- of the newest birth
    birth       BLOB,
    health      BLOB,
    online      INTEGER NOT NULL DEFAULT 0,
    seen_ms     INTEGER                     -- NULL: not yet heard itself
) STRICT, WITHOUT ROWID;

CREATE TABLE configs (
    node        TEXT    NOT NULL PRIMARY KEY,
    frame       BLOB    NOT NULL            -- with its version; a change in the settings raises it
) STRICT, WITHOUT ROWID;

-- What is known of each start of a node: wall time minus uptime (SPEC.md 7.6), by its own words and
-- by the arrival of what it says of itself. The oldest is that with the lowest id.
CREATE TABLE boots (
    id          INTEGER PRIMARY KEY,
    node        TEXT    NOT NULL,
    boot_id     BLOB    NOT NULL,
    word_ms     INTEGER,                    -- NULL: it never knew the time
    quality     INTEGER NOT NULL,           -- of that word: 2, 3; 0 without one
    word_uptime_ms INTEGER NOT NULL,        -- when that was said; an earlier word corrects nothing
    arrival_ms  INTEGER,                    -- NULL: nothing arrived directly
    UNIQUE (node, boot_id)
) STRICT;

-- The newest dark frame of each node.
CREATE TABLE darks (
    node        TEXT    NOT NULL PRIMARY KEY,
    record_id   INTEGER NOT NULL REFERENCES records (id),
    counts      INTEGER NOT NULL,           -- mean of its pixels
    received_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX darks_of_records ON darks (record_id);

-- The healths that came, newest last: how supply, temperature and memory went before a fault.
CREATE TABLE healths (
    id          INTEGER PRIMARY KEY,
    node        TEXT    NOT NULL,
    received_ms INTEGER NOT NULL,
    frame       BLOB    NOT NULL
) STRICT;

CREATE INDEX healths_of_nodes ON healths (node, id);

-- Readings that await the judges.
CREATE TABLE pending (
    node        TEXT    NOT NULL,
    record_id   INTEGER NOT NULL UNIQUE REFERENCES records (id),
    PRIMARY KEY (node, record_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE verdicts (
    record_id   INTEGER NOT NULL PRIMARY KEY REFERENCES records (id),
    verdict     TEXT    NOT NULL CHECK (verdict IN ('alarm', 'inconclusive', 'clear')),
    reason_id   TEXT    NOT NULL,
    explanation BLOB    NOT NULL,           -- the whole verdict as JSON
    judged_ms   INTEGER NOT NULL
) STRICT;

-- Readings that are judged again when their axis comes.
CREATE INDEX verdicts_without_axis ON verdicts (record_id) WHERE reason_id = 'no_axis';

-- Readings that are judged again when a calibration comes.
CREATE INDEX verdicts_uncalibrated ON verdicts (record_id)
    WHERE reason_id IN ('not_calibrated', 'calibration_expired', 'calibration_failed', 'uncalibrated_listed');

-- The standards that commands have named; the reading they asked for has their id as its inspection.
-- The oldest is that with the lowest id.
CREATE TABLE orders (
    id          INTEGER PRIMARY KEY,
    node        TEXT    NOT NULL,
    command_id  BLOB    NOT NULL,
    standard    TEXT    NOT NULL,
    received_ms INTEGER NOT NULL,           -- a label
    UNIQUE (node, command_id)
) STRICT;

-- What came of each measured standard, failed ones included.
CREATE TABLE calibrations (
    record_id   INTEGER NOT NULL PRIMARY KEY REFERENCES records (id),
    node        TEXT    NOT NULL,
    axis_id     BLOB    NOT NULL,
    standard_id TEXT    NOT NULL,
    received_ms INTEGER NOT NULL,           -- of its reading, by the gateway's clock
    fault       TEXT    NOT NULL,           -- empty: it is valid
    text        TEXT    NOT NULL,           -- one sentence for the technician; empty when valid
    body        BLOB    NOT NULL            -- the calibration as JSON; empty when it failed
) STRICT;

CREATE INDEX calibrations_of_axes ON calibrations (node, axis_id, record_id);

-- What came of each measured glass: the intensity corrections of the nodes. Columns as above.
CREATE TABLE responses (
    record_id   INTEGER NOT NULL PRIMARY KEY REFERENCES records (id),
    node        TEXT    NOT NULL,
    axis_id     BLOB    NOT NULL,
    standard_id TEXT    NOT NULL,           -- the certificate, by its digest
    received_ms INTEGER NOT NULL,
    fault       TEXT    NOT NULL,
    text        TEXT    NOT NULL,
    body        BLOB    NOT NULL
) STRICT;

CREATE INDEX responses_of_axes ON responses (node, axis_id, record_id);

-- Readings that were judged before calibrations were kept: which one they stood on is not known.
CREATE TABLE unrecorded (
    record_id   INTEGER NOT NULL PRIMARY KEY REFERENCES records (id)
) STRICT;

-- The outbox: an alert stays here, with its receipt once it has one.
CREATE TABLE alerts (
    alert_id    TEXT    NOT NULL PRIMARY KEY,
    record_id   INTEGER NOT NULL UNIQUE REFERENCES records (id),
    body        BLOB    NOT NULL,           -- the bytes that are sent, fixed once
    created_ms  INTEGER NOT NULL,
    attempts    INTEGER NOT NULL DEFAULT 0,
    fault       TEXT    NOT NULL DEFAULT '',
    receipt     BLOB,                       -- the authority's receipt; NULL: not yet received
    receipt_ms  INTEGER
) STRICT;

CREATE INDEX alerts_waiting ON alerts (attempts, created_ms, alert_id) WHERE receipt IS NULL;

CREATE TABLE counters (
    name        TEXT    NOT NULL,           -- one of gateway/observe/counters.py
    subject     TEXT    NOT NULL,           -- a node or a task; empty: the whole post
    count       INTEGER NOT NULL,
    PRIMARY KEY (name, subject)
) STRICT, WITHOUT ROWID;

-- One run through the stored readings with another library or other lists; the newest is in force.
-- It goes from the newest reading to the oldest, and goes on from `below_id` after a kill.
CREATE TABLE rejudgings (
    id              INTEGER PRIMARY KEY,
    library_version TEXT    NOT NULL,
    lists_version   TEXT    NOT NULL,
    since_ms        INTEGER NOT NULL,       -- readings received before are left alone
    below_id        INTEGER NOT NULL,       -- records from here on are done; 0: all are
    started_ms      INTEGER NOT NULL,
    ended_ms        INTEGER,                -- NULL: not yet
    judged          INTEGER NOT NULL DEFAULT 0,
    changed         INTEGER NOT NULL DEFAULT 0,
    raised          INTEGER NOT NULL DEFAULT 0,  -- became an alarm
    lowered         INTEGER NOT NULL DEFAULT 0,  -- is no alarm any more
    failed          INTEGER NOT NULL DEFAULT 0,  -- could not be judged again; keeps its verdict
    faults          TEXT    NOT NULL DEFAULT '[]'  -- JSON: parts of the library that are left out
) STRICT;

-- What a run found different. `verdicts` keeps what was said at the time; the newest row here is what
-- is known now.
CREATE TABLE rejudged (
    run_id         INTEGER NOT NULL REFERENCES rejudgings (id),
    record_id      INTEGER NOT NULL REFERENCES records (id),
    verdict_before TEXT    NOT NULL,
    before         BLOB    NOT NULL,        -- the whole verdict as JSON
    verdict_after  TEXT    NOT NULL CHECK (verdict_after IN ('alarm', 'inconclusive', 'clear')),
    after          BLOB    NOT NULL,        -- likewise
    rejudged_ms    INTEGER NOT NULL,
    PRIMARY KEY (record_id, run_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX rejudged_by_run ON rejudged (run_id, record_id);

-- How many there are, kept by the triggers below, so that nobody has to count rows:
-- record and pending of each node, verdict of each kind, alert_made, alert_delivered. What was
-- evicted or deleted since is still counted, but for what is pending. A row that is put in empty
-- stands for one that was counted.
CREATE TABLE tallies (
    name        TEXT    NOT NULL,
    subject     TEXT    NOT NULL,           -- a node or a verdict; empty: the whole post
    count       INTEGER NOT NULL,
    PRIMARY KEY (name, subject)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER tally_record AFTER INSERT ON records WHEN length(NEW.frame) > 0 BEGIN
    INSERT INTO tallies VALUES ('record', NEW.node, 1) ON CONFLICT DO UPDATE SET count = count + 1;
END;

CREATE TRIGGER tally_pending AFTER INSERT ON pending BEGIN
    INSERT INTO tallies VALUES ('pending', NEW.node, 1) ON CONFLICT DO UPDATE SET count = count + 1;
END;

CREATE TRIGGER tally_settled AFTER DELETE ON pending BEGIN
    UPDATE tallies SET count = count - 1 WHERE name = 'pending' AND subject = OLD.node;
END;

CREATE TRIGGER tally_verdict AFTER INSERT ON verdicts WHEN length(NEW.explanation) > 0 BEGIN
    INSERT INTO tallies VALUES ('verdict', NEW.verdict, 1)
        ON CONFLICT DO UPDATE SET count = count + 1;
END;

CREATE TRIGGER tally_verdict_changed AFTER UPDATE OF verdict ON verdicts
WHEN OLD.verdict <> NEW.verdict BEGIN
    UPDATE tallies SET count = count - 1 WHERE name = 'verdict' AND subject = OLD.verdict;
    INSERT INTO tallies VALUES ('verdict', NEW.verdict, 1)
        ON CONFLICT DO UPDATE SET count = count + 1;
END;

CREATE TRIGGER tally_alert AFTER INSERT ON alerts BEGIN
    INSERT INTO tallies VALUES ('alert_made', '', 1) ON CONFLICT DO UPDATE SET count = count + 1;
END;

CREATE TRIGGER tally_alert_brought AFTER INSERT ON alerts WHEN NEW.receipt IS NOT NULL BEGIN
    INSERT INTO tallies VALUES ('alert_delivered', '', 1)
        ON CONFLICT DO UPDATE SET count = count + 1;
END;

CREATE TRIGGER tally_alert_delivered AFTER UPDATE OF receipt ON alerts
WHEN OLD.receipt IS NULL AND NEW.receipt IS NOT NULL BEGIN
    INSERT INTO tallies VALUES ('alert_delivered', '', 1)
        ON CONFLICT DO UPDATE SET count = count + 1;
END;

-- What retention has done; one row.
CREATE TABLE retention (
    id          INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    next_id     INTEGER NOT NULL DEFAULT 0, -- rows are looked at from here on for deletion
    evicted     INTEGER NOT NULL DEFAULT 0, -- frames emptied since the journal began
    bytes       INTEGER NOT NULL DEFAULT 0, -- of these frames
    deleted     INTEGER NOT NULL DEFAULT 0, -- rows deleted since the journal began
    evicted_ms  INTEGER                     -- when the last was emptied; NULL: never
) STRICT;

-- When the file was last checked, and what came of it; one row.
CREATE TABLE integrity (
    id          INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    is_open     INTEGER NOT NULL DEFAULT 0, -- starts since it was last closed in order
    checked_ms  INTEGER,                    -- end of the last full check; NULL: never
    fault       TEXT    NOT NULL DEFAULT '' -- what it found; empty: nothing
) STRICT;

-- Lasting states of the post that somebody should know of: what holds now, since when, and what to
-- do. A row is there as long as the state lasts.
CREATE TABLE posture (
    name        TEXT    NOT NULL PRIMARY KEY,
    since_ms    INTEGER NOT NULL,
    text        TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
