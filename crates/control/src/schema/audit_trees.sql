-- The audit log's entries are leaves of Merkle trees, one for each account. A purge removes entries
-- and keeps their leaves.

ALTER TABLE audit ADD COLUMN salt_sealed BYTEA;

CREATE TABLE audit_leaves (
    account TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    hash BYTEA NOT NULL,
    PRIMARY KEY (account, sequence)
);

CREATE TABLE audit_trees (
    account TEXT PRIMARY KEY,
    size BIGINT NOT NULL,
    frontier BYTEA NOT NULL
);
