-- Secrets of an environment by version; a version never changes. Revisions name the versions they run with.
CREATE TABLE secrets (
    tenant_id      TEXT NOT NULL REFERENCES tenants (id),
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    name           TEXT NOT NULL,
    version        INTEGER NOT NULL,
    sealed         BLOB, -- encrypted with the tenant's key; none: it was removed with this version
    author         TEXT NOT NULL,
    created_at     INTEGER NOT NULL,
    PRIMARY KEY (environment_id, name, version)
) STRICT;
