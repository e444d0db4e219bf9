-- The state of one Wharf installation. Times are milliseconds since the Unix epoch.
-- Every row that belongs to a tenant carries tenant_id, and every query of such a table names it.

CREATE TABLE settings (
    key   TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
) STRICT;

CREATE TABLE tenants (
    id         TEXT PRIMARY KEY NOT NULL,
    slug       TEXT NOT NULL UNIQUE,
    name       TEXT NOT NULL,
    is_primary INTEGER NOT NULL DEFAULT 0,
    sealed_key BLOB NOT NULL, -- the tenant's data key, wrapped by the master key
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE users (
    id            TEXT PRIMARY KEY NOT NULL,
    email         TEXT NOT NULL UNIQUE COLLATE NOCASE,
    name          TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    is_operator   INTEGER NOT NULL DEFAULT 0,
    created_at    INTEGER NOT NULL
) STRICT;

CREATE TABLE memberships (
    tenant_id  TEXT NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role       TEXT NOT NULL CHECK (role IN ('owner', 'developer', 'viewer')),
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, user_id)
) STRICT;

CREATE TABLE sessions (
    token_hash   TEXT PRIMARY KEY NOT NULL,
    user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    csrf_token   TEXT NOT NULL,
    user_agent   TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_by_user ON sessions (user_id);

CREATE TABLE api_tokens (
    id           TEXT PRIMARY KEY NOT NULL,
    user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    tenant_id    TEXT REFERENCES tenants (id) ON DELETE CASCADE, -- when set, good for this tenant only
    name         TEXT NOT NULL,
    scope        TEXT NOT NULL CHECK (scope IN ('read', 'deploy', 'full')),
    secret_hash  TEXT NOT NULL UNIQUE,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER,
    expires_at   INTEGER
) STRICT;
CREATE INDEX api_tokens_by_user ON api_tokens (user_id);

CREATE TABLE ssh_keys (
    id           TEXT PRIMARY KEY NOT NULL,
    user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name         TEXT NOT NULL,
    fingerprint  TEXT NOT NULL UNIQUE,
    public_key   TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER
) STRICT;
CREATE INDEX ssh_keys_by_user ON ssh_keys (user_id);

CREATE TABLE projects (
    id         TEXT PRIMARY KEY NOT NULL,
    tenant_id  TEXT NOT NULL REFERENCES tenants (id),
    slug       TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (tenant_id, slug)
) STRICT;

CREATE TABLE environments (
    id               TEXT PRIMARY KEY NOT NULL,
    tenant_id        TEXT NOT NULL REFERENCES tenants (id),
    project_id       TEXT NOT NULL REFERENCES projects (id),
    slug             TEXT NOT NULL,
    protected        INTEGER NOT NULL DEFAULT 0,
    deploy_branch    TEXT, -- set by the first push
    config_version   INTEGER NOT NULL DEFAULT 0, -- the newest configuration, which the next revision takes
    generation       INTEGER NOT NULL DEFAULT 0, -- counts attempts to run something: deploys, rollbacks, restarts
    target_revision  INTEGER, -- the revision that shall run, the attempt it belongs to, and since when
    target_generation  INTEGER,
    target_since     INTEGER,
    serving_revision INTEGER, -- the revision that passed and takes traffic, and its attempt
    serving_generation INTEGER,
    stopped          INTEGER NOT NULL DEFAULT 0,
    destroyed        INTEGER NOT NULL DEFAULT 0, -- everything of it is being removed
    created_at       INTEGER NOT NULL,
    UNIQUE (project_id, slug)
) STRICT;
CREATE INDEX environments_by_tenant ON environments (tenant_id);

-- Configuration (environment variables) by version; each version is whole and never changes.
CREATE TABLE config_sets (
    tenant_id      TEXT NOT NULL REFERENCES tenants (id),
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    version        INTEGER NOT NULL,
    names          TEXT NOT NULL, -- JSON array, so that names can be shown without opening values
    sealed         BLOB NOT NULL, -- JSON object, encrypted with the tenant's key
    author         TEXT NOT NULL,
    created_at     INTEGER NOT NULL,
    PRIMARY KEY (environment_id, version)
) STRICT;

CREATE TABLE domains (
    id             TEXT PRIMARY KEY NOT NULL,
    tenant_id      TEXT NOT NULL REFERENCES tenants (id),
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    host           TEXT NOT NULL UNIQUE,
    service        TEXT NOT NULL,
    is_default     INTEGER NOT NULL DEFAULT 0, -- given by the platform
    created_at     INTEGER NOT NULL
) STRICT;
CREATE INDEX domains_by_environment ON domains (environment_id);

-- How many instances of a service are wanted, where that differs from its revision.
CREATE TABLE formation (
    tenant_id      TEXT NOT NULL REFERENCES tenants (id),
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    service        TEXT NOT NULL,
    replicas       INTEGER NOT NULL CHECK (replicas BETWEEN 0 AND 1000),
    PRIMARY KEY (environment_id, service)
) STRICT;

CREATE TABLE revisions (
    id             TEXT PRIMARY KEY NOT NULL,
    tenant_id      TEXT NOT NULL REFERENCES tenants (id),
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    number         INTEGER NOT NULL,
    hash           TEXT NOT NULL,
    stack          TEXT NOT NULL, -- canonical JSON
    config_version INTEGER NOT NULL,
    source_commit  TEXT,
    author         TEXT NOT NULL,
    message        TEXT NOT NULL,
    failed_reason  TEXT, -- why it never served, when it did not
    created_at     INTEGER NOT NULL,
    UNIQUE (environment_id, number)
) STRICT;

CREATE TABLE operations (
    id             TEXT PRIMARY KEY NOT NULL,
    tenant_id      TEXT NOT NULL REFERENCES tenants (id),
    environment_id TEXT NOT NULL, -- outlives its environment, so that what was done stays known
    kind           TEXT NOT NULL,
    state          TEXT NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    phase          TEXT NOT NULL,
    exclusive      INTEGER NOT NULL, -- whether it changes what runs; one such at a time
    actor          TEXT NOT NULL, -- who, for people
    cause          TEXT NOT NULL, -- why: push, api, config, rollback …
    input          TEXT NOT NULL, -- JSON, what it needs to be resumed
    revision       INTEGER,       -- the revision it made or applies
    boot           TEXT NOT NULL, -- the process that owns it
    deadline_at    INTEGER NOT NULL,
    created_at     INTEGER NOT NULL,
    started_at     INTEGER,
    finished_at    INTEGER,
    summary        TEXT           -- one sentence: the result or the reason of the failure
) STRICT;
CREATE INDEX operations_by_environment ON operations (environment_id, created_at);
CREATE UNIQUE INDEX operations_one_change_at_a_time ON operations (environment_id)
    WHERE exclusive = 1 AND state IN ('queued', 'running');

CREATE TABLE operation_log (
    operation_id TEXT NOT NULL REFERENCES operations (id) ON DELETE CASCADE,
    seq          INTEGER NOT NULL,
    at           INTEGER NOT NULL,
    kind         TEXT NOT NULL CHECK (kind IN ('step', 'output', 'notice', 'error')),
    line         TEXT NOT NULL,
    PRIMARY KEY (operation_id, seq)
) STRICT, WITHOUT ROWID;
