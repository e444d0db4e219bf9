-- Certificates for HTTPS. Private keys are sealed with the platform's key.

CREATE TABLE certificates (
    id         TEXT PRIMARY KEY NOT NULL,
    tenant_id  TEXT REFERENCES tenants (id) ON DELETE CASCADE, -- whose host it was got for; none: the platform's own
    host       TEXT NOT NULL, -- what it was got or uploaded for: `shop.example.com`, `*.example.com`
    source     TEXT NOT NULL CHECK (source IN ('uploaded', 'acme', 'local')),
    names      TEXT NOT NULL, -- JSON array of the names it stands for
    issuer     TEXT NOT NULL,
    fingerprint TEXT NOT NULL, -- SHA-256 of the certificate itself, hexadecimal
    chain_pem  TEXT NOT NULL,
    sealed_key BLOB NOT NULL,
    not_before INTEGER NOT NULL,
    not_after  INTEGER NOT NULL,
    added_by   TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX certificates_by_host ON certificates (host);
CREATE INDEX certificates_by_tenant ON certificates (tenant_id);

-- How getting a certificate by itself goes, for each host; no row: nothing to say.
CREATE TABLE certificate_renewals (
    host       TEXT PRIMARY KEY NOT NULL,
    failures   INTEGER NOT NULL DEFAULT 0, -- in a row
    last_error TEXT,    -- one sentence
    tried_at   INTEGER, -- the last attempt
    try_at     INTEGER, -- not before this
    held       INTEGER NOT NULL DEFAULT 0, -- the authority itself said when to try again
    asked      INTEGER NOT NULL DEFAULT 0 -- somebody asked for a new one now
) STRICT;

-- Orders that were made, to stay within what certificate authorities allow in a week.
CREATE TABLE certificate_orders (
    id         INTEGER PRIMARY KEY,
    directory  TEXT NOT NULL,
    host       TEXT NOT NULL,
    domain     TEXT NOT NULL, -- the registered domain: `example.com`
    ordered_at INTEGER NOT NULL
) STRICT;
CREATE INDEX certificate_orders_by_time ON certificate_orders (ordered_at);

-- Accounts with certificate authorities, one for each directory.
CREATE TABLE acme_accounts (
    directory  TEXT PRIMARY KEY NOT NULL,
    email      TEXT NOT NULL,
    sealed     BLOB NOT NULL, -- credentials with the account's private key
    created_at INTEGER NOT NULL
) STRICT;

-- What an app's owner wants of HTTPS on one of its hosts; no row: as the platform does by default.
CREATE TABLE https_policies (
    host      TEXT PRIMARY KEY NOT NULL REFERENCES domains (host) ON DELETE CASCADE,
    redirect  TEXT NOT NULL DEFAULT 'auto' CHECK (redirect IN ('auto', 'on', 'off')),
    hsts_secs INTEGER
) STRICT;
