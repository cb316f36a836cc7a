-- Users who are disabled in an account, and how long an account lets its users' sessions live.

CREATE TABLE disabled_users (
    user_id BYTEA NOT NULL REFERENCES users (id),
    account TEXT NOT NULL,
    disabled_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, account)
);

CREATE TABLE session_limits (
    account TEXT PRIMARY KEY,
    idle_minutes BIGINT NOT NULL,
    hours BIGINT NOT NULL
);
