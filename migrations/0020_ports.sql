-- Ports of the machine that lead to services which do not speak HTTP. A port belongs to one environment as long as that is there.
CREATE TABLE ports (
    tenant_id      TEXT NOT NULL REFERENCES tenants (id),
    environment_id TEXT NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    transport      TEXT NOT NULL CHECK (transport IN ('tcp', 'udp')),
    published      INTEGER NOT NULL,
    service        TEXT NOT NULL,
    port           INTEGER NOT NULL, -- inside the container
    created_at     INTEGER NOT NULL,
    PRIMARY KEY (transport, published)
) STRICT;
CREATE INDEX ports_environment ON ports (environment_id);
