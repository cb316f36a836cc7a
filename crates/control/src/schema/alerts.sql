-- What is red at this moment and has been told, and calls of the receiver that are still to be made.
-- When a mail is tried next.

CREATE TABLE alerts (
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    account TEXT NOT NULL,
    text TEXT NOT NULL,
    raised_at BIGINT NOT NULL,
    PRIMARY KEY (kind, subject, account)
);

CREATE TABLE alert_calls (
    id BYTEA PRIMARY KEY,
    body TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    next_at BIGINT NOT NULL,
    tries BIGINT NOT NULL DEFAULT 0
);

ALTER TABLE mails ADD COLUMN next_at BIGINT NOT NULL DEFAULT 0;
