-- What the ingress does on the hosts of an app beside passing requests on; no row: as the platform does by default.
-- The platform's own settings stand in `settings`, under `gateway`.
CREATE TABLE gateway_settings (
    tenant_id      TEXT NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    host           TEXT REFERENCES domains (host) ON DELETE CASCADE, -- none: all hosts of the app
    settings       TEXT NOT NULL, -- JSON; passwords only as Argon2 hashes
    changed_by     TEXT NOT NULL,
    changed_at     INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX gateway_settings_of_a_host ON gateway_settings (environment_id, ifnull(host, ''));
CREATE INDEX gateway_settings_by_tenant ON gateway_settings (tenant_id);
