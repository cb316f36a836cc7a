-- Keys that calls of the API may be encrypted to. The private half is gone once a key is retired.
CREATE TABLE api_keys (
    account TEXT NOT NULL REFERENCES accounts (id),
    id BIGINT NOT NULL,
    public_key BYTEA NOT NULL,
    private_key_sealed BYTEA,
    created_at BIGINT NOT NULL,
    accepted_until BIGINT,
    retired_at BIGINT,
    PRIMARY KEY (account, id)
);

-- Whether calls may or must be encrypted, and the caller's key, which answers are encrypted to.
ALTER TABLE accounts ADD COLUMN api_encryption TEXT NOT NULL DEFAULT 'optional';
ALTER TABLE accounts ADD COLUMN answer_key BYTEA;
ALTER TABLE accounts ADD COLUMN answer_prefix BIGINT;
