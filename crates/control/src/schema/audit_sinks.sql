-- Places outside that the audit log is streamed to, and how far each of them has taken each account's
-- log. What waits for a sink is what the log holds beyond its position.

CREATE TABLE audit_sinks (
    name TEXT PRIMARY KEY,
    is_required BIGINT NOT NULL,
    registered_at BIGINT NOT NULL,
    dropped BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE audit_sink_positions (
    sink TEXT NOT NULL,
    account TEXT NOT NULL,
    position BIGINT NOT NULL,
    PRIMARY KEY (sink, account)
);
