-- What operators decided about drops and quarantined records. Paths and names are sealed.

CREATE TABLE drop_reviews (
    kind BYTEA PRIMARY KEY,
    reason TEXT NOT NULL,
    path_sealed BYTEA NOT NULL,
    seen_until BIGINT NOT NULL,
    reviewed_at BIGINT NOT NULL,
    reviewer_sealed BYTEA NOT NULL
);

CREATE TABLE quarantine_marks (
    account TEXT NOT NULL REFERENCES accounts (id),
    record BYTEA NOT NULL,
    mark TEXT NOT NULL,
    marked_at BIGINT NOT NULL,
    PRIMARY KEY (account, record)
);
