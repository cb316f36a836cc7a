-- What has been taken out for each deletion since its job began: rows by table, of parts and of the journal, and the parts
-- that held them. It is counted in the transactions that take it out.
CREATE TABLE deletion_rows (
    deletion BYTEA NOT NULL REFERENCES deletions (id),
    table_name TEXT NOT NULL,
    of_journal BIGINT NOT NULL,
    row_count BIGINT NOT NULL,
    PRIMARY KEY (deletion, table_name, of_journal)
);
CREATE TABLE deletion_parts (
    deletion BYTEA NOT NULL REFERENCES deletions (id),
    part BYTEA NOT NULL,
    row_count BIGINT NOT NULL,
    path_hash BYTEA NOT NULL,
    PRIMARY KEY (deletion, part)
);

-- The receipt as it is signed. Those of before have none, and stand in `receipt`.
ALTER TABLE deletions ADD COLUMN receipt_note TEXT;
