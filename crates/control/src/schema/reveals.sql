-- Who had masked values of a person shown, and when: for the quota. What was shown and why is in the audit log.
CREATE TABLE reveals (
    account TEXT NOT NULL,
    actor_hash BYTEA NOT NULL,
    at BIGINT NOT NULL
);

CREATE INDEX reveals_by_actor ON reveals (account, actor_hash, at);

ALTER TABLE accounts ADD COLUMN reveals_minute_max BIGINT NOT NULL DEFAULT 5;
ALTER TABLE accounts ADD COLUMN reveals_day_max BIGINT NOT NULL DEFAULT 50;
