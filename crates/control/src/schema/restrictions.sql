-- Whose processing is restricted, and was: by keyed hashes. A row is in force until it is lifted.
CREATE TABLE restrictions (
    id BYTEA PRIMARY KEY,
    account TEXT NOT NULL REFERENCES accounts (id),
    person BYTEA NOT NULL,
    set_at BIGINT NOT NULL,
    set_by_sealed BYTEA NOT NULL,
    reason_sealed BYTEA NOT NULL,
    lifted_at BIGINT,
    lifted_by_sealed BYTEA,
    lift_reason_sealed BYTEA
);

CREATE INDEX restrictions_by_person ON restrictions (account, person);
