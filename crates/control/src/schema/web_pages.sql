-- Web pages of these domains may send to an account; pages of any domain while it has none here.
CREATE TABLE account_domains (
    account TEXT NOT NULL REFERENCES accounts (id),
    domain TEXT NOT NULL,
    PRIMARY KEY (account, domain)
);

-- 1: messages that an SDK has encrypted in transit are refused, so that it sends them plain.
ALTER TABLE accounts ADD COLUMN encrypted_refused BIGINT NOT NULL DEFAULT 0;
