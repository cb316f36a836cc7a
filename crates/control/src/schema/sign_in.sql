-- How users prove who they are, and the sessions that follow.

ALTER TABLE grants ADD COLUMN pending BIGINT NOT NULL DEFAULT 0;
ALTER TABLE links ADD COLUMN purpose TEXT NOT NULL DEFAULT 'invitation';

CREATE TABLE proofs (
    user_id BYTEA PRIMARY KEY REFERENCES users (id),
    password_sealed BYTEA,
    totp_sealed BYTEA,
    totp_step BIGINT NOT NULL DEFAULT 0,
    terms_at BIGINT,
    signed_in_at BIGINT
);

CREATE TABLE recovery_codes (
    user_id BYTEA NOT NULL REFERENCES users (id),
    hash BYTEA NOT NULL,
    used_at BIGINT,
    PRIMARY KEY (user_id, hash)
);

CREATE TABLE passkeys (
    id BYTEA PRIMARY KEY,
    user_id BYTEA NOT NULL REFERENCES users (id),
    name_sealed BYTEA NOT NULL,
    key_sealed BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    used_at BIGINT
);

-- By address, whether or not it is a user's: what happens to both is the same.
CREATE TABLE failures (
    email_hash BYTEA PRIMARY KEY,
    count BIGINT NOT NULL,
    failed_at BIGINT NOT NULL,
    paused_until BIGINT NOT NULL
);

CREATE TABLE sessions (
    hash BYTEA PRIMARY KEY,
    id BYTEA NOT NULL UNIQUE,
    user_id BYTEA NOT NULL REFERENCES users (id),
    stage TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    factor_at BIGINT,
    tries BIGINT NOT NULL DEFAULT 0,
    pending_sealed BYTEA,
    peer_sealed BYTEA NOT NULL,
    agent_sealed BYTEA NOT NULL
);

CREATE INDEX sessions_by_user ON sessions (user_id);

CREATE TABLE networks (
    account TEXT NOT NULL,
    network TEXT NOT NULL,
    label_sealed BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (account, network)
);

CREATE TABLE network_switches (
    account TEXT PRIMARY KEY,
    console BIGINT NOT NULL,
    api BIGINT NOT NULL
);

CREATE TABLE mails (
    id BYTEA PRIMARY KEY,
    account TEXT NOT NULL,
    mail_sealed BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    sent_at BIGINT,
    tries BIGINT NOT NULL DEFAULT 0
);

CREATE INDEX mails_by_account ON mails (account, created_at);
