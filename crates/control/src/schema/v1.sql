-- Personal data appears here as keyed hashes (person) or sealed fields (columns that end in _sealed).

CREATE TABLE settings (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

-- One row for each of the last transactions: proof of which history this file belongs to.
CREATE TABLE history (
    sequence BIGINT PRIMARY KEY,
    tag BYTEA NOT NULL
);

CREATE TABLE accounts (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    time_zone TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    uploads_max BIGINT NOT NULL,
    calls_max BIGINT NOT NULL,
    retention_days BIGINT NOT NULL,
    request_retention_days BIGINT NOT NULL,
    sdk_token_hash BYTEA NOT NULL
);

CREATE TABLE passcodes (
    account TEXT NOT NULL REFERENCES accounts (id),
    name TEXT NOT NULL,
    hash BYTEA NOT NULL,
    scopes TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    revoked_at BIGINT,
    PRIMARY KEY (account, name)
);

CREATE TABLE nodes (
    node BIGINT PRIMARY KEY,
    starts BIGINT NOT NULL
);

CREATE TABLE parts (
    id BYTEA PRIMARY KEY,
    account TEXT NOT NULL,
    table_name TEXT NOT NULL,
    meta_sealed BYTEA NOT NULL,
    replaced_at BIGINT
);

CREATE TABLE watermarks (
    node BIGINT NOT NULL,
    start BIGINT NOT NULL,
    number BIGINT NOT NULL,
    PRIMARY KEY (node, start)
);

CREATE TABLE deletions (
    id BYTEA PRIMARY KEY,
    account TEXT NOT NULL REFERENCES accounts (id),
    state TEXT NOT NULL,
    revision BIGINT NOT NULL,
    reason_sealed BYTEA NOT NULL,
    requested_at BIGINT NOT NULL,
    started_at BIGINT,
    completed_at BIGINT,
    receipt TEXT
);

CREATE INDEX deletions_by_account ON deletions (account, requested_at);

CREATE TABLE ledger (
    position BIGINT PRIMARY KEY,
    account TEXT NOT NULL,
    person BYTEA NOT NULL,
    from_ms BIGINT,
    to_ms BIGINT,
    deletion BYTEA NOT NULL REFERENCES deletions (id)
);

CREATE INDEX ledger_by_person ON ledger (account, person);
CREATE INDEX ledger_by_deletion ON ledger (deletion);

CREATE TABLE audit (
    account TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    at BIGINT NOT NULL,
    actor_kind TEXT NOT NULL,
    actor_hash BYTEA NOT NULL,
    actor_sealed BYTEA NOT NULL,
    role TEXT NOT NULL,
    action TEXT NOT NULL,
    action_id TEXT NOT NULL,
    description_sealed BYTEA NOT NULL,
    outcome TEXT NOT NULL,
    peer_sealed BYTEA,
    PRIMARY KEY (account, sequence)
);

CREATE INDEX audit_by_time ON audit (account, at);
CREATE INDEX audit_by_actor ON audit (account, actor_hash);
CREATE INDEX audit_by_action ON audit (account, action);
