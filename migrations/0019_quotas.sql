-- What an organisation, or one of its projects, may use at most; absent values are not limited.
CREATE TABLE quotas (
    tenant_id  TEXT NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    project_id TEXT REFERENCES projects (id) ON DELETE CASCADE, -- absent: the whole organisation
    instances  INTEGER,
    cpu_millis INTEGER, -- thousandths of a processor core
    memory_mib INTEGER
) STRICT;
CREATE UNIQUE INDEX quotas_by_owner ON quotas (tenant_id, ifnull(project_id, ''));

-- What an environment was admitted with: what it uses at most, also while it changes.
CREATE TABLE reservations (
    environment_id TEXT PRIMARY KEY NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    tenant_id      TEXT NOT NULL REFERENCES tenants (id),
    project_id     TEXT NOT NULL REFERENCES projects (id),
    instances      INTEGER NOT NULL,
    cpu_millis     INTEGER NOT NULL,
    memory_mib     INTEGER NOT NULL
) STRICT;
CREATE INDEX reservations_by_tenant ON reservations (tenant_id, project_id);
