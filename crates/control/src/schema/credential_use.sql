-- When each passcode was accepted last, to the minute or so.
ALTER TABLE passcodes ADD COLUMN used_at BIGINT;

-- The tokens that apps carry. The newest has no end; those before it are accepted until theirs.
CREATE TABLE sdk_tokens (
    account TEXT NOT NULL REFERENCES accounts (id),
    number BIGINT NOT NULL,
    hash BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    ends_at BIGINT,
    used_at BIGINT,
    PRIMARY KEY (account, number)
);
INSERT INTO sdk_tokens (account, number, hash, created_at)
    SELECT id, 1, sdk_token_hash, created_at FROM accounts;
ALTER TABLE accounts DROP COLUMN sdk_token_hash;
