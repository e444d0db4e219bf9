-- Jobs and workflows: up to when their schedules were dealt with, their runs, and the containers of these.

CREATE TABLE job_schedules (
    tenant_id      TEXT NOT NULL REFERENCES tenants (id),
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    kind           TEXT NOT NULL CHECK (kind IN ('job', 'workflow')),
    name           TEXT NOT NULL,
    timetable      TEXT NOT NULL, -- the schedule this row is about; another one begins anew
    seen_until     INTEGER NOT NULL, -- all its moments up to then were dealt with
    suspended_by   TEXT, -- who holds it
    PRIMARY KEY (environment_id, kind, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE job_runs (
    id             TEXT PRIMARY KEY NOT NULL, -- also the id of its operation, which holds its log
    tenant_id      TEXT NOT NULL REFERENCES tenants (id),
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    kind           TEXT NOT NULL CHECK (kind IN ('job', 'workflow')),
    name           TEXT NOT NULL,
    number         INTEGER NOT NULL,
    revision       INTEGER NOT NULL,
    cause          TEXT NOT NULL CHECK (cause IN ('schedule', 'catch-up', 'manual')),
    actor          TEXT NOT NULL,
    scheduled_for  INTEGER,
    program        TEXT NOT NULL, -- JSON, all it carries out
    state          TEXT NOT NULL CHECK (state IN ('waiting', 'running', 'succeeded', 'failed', 'cancelled', 'skipped')),
    alone          INTEGER NOT NULL,
    cancelled_by   TEXT,
    reason         TEXT,
    created_at     INTEGER NOT NULL,
    started_at     INTEGER,
    finished_at    INTEGER,
    UNIQUE (environment_id, kind, name, number)
) STRICT;
CREATE INDEX job_runs_under_way ON job_runs (state) WHERE state IN ('waiting', 'running');
-- What must run alone does, whatever the program thinks; and a moment of a schedule has one run.
CREATE UNIQUE INDEX job_runs_single_flight ON job_runs (environment_id, kind, name)
    WHERE alone = 1 AND state = 'running';
CREATE UNIQUE INDEX job_runs_once_a_moment ON job_runs (environment_id, kind, name, scheduled_for)
    WHERE scheduled_for IS NOT NULL;

CREATE TABLE job_attempts (
    tenant_id  TEXT NOT NULL REFERENCES tenants (id),
    run_id     TEXT NOT NULL REFERENCES job_runs (id) ON DELETE CASCADE,
    serial     INTEGER NOT NULL,
    step       TEXT NOT NULL,
    item       INTEGER NOT NULL,
    number     INTEGER NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('starting', 'running', 'succeeded', 'failed', 'cancelled')),
    stop       TEXT CHECK (stop IN ('step-deadline', 'run-deadline', 'cancelled')),
    stop_at    INTEGER,
    container  TEXT,
    created_at INTEGER NOT NULL,
    ended_at   INTEGER,
    exit_code  INTEGER,
    reason     TEXT,
    loose      INTEGER NOT NULL DEFAULT 0, -- given up: its container may be there still
    PRIMARY KEY (run_id, serial),
    UNIQUE (run_id, step, item, number)
) STRICT, WITHOUT ROWID;
