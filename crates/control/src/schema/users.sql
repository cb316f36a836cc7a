-- Who may sign in, in which roles, and links that let somebody in once.

CREATE TABLE users (
    id BYTEA PRIMARY KEY,
    email_hash BYTEA NOT NULL UNIQUE,
    email_sealed BYTEA NOT NULL,
    name_sealed BYTEA NOT NULL,
    state TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE roles (
    account TEXT NOT NULL,
    name TEXT NOT NULL,
    rights TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (account, name)
);

CREATE TABLE grants (
    user_id BYTEA NOT NULL REFERENCES users (id),
    account TEXT NOT NULL,
    role TEXT NOT NULL,
    granted_at BIGINT NOT NULL,
    expires_at BIGINT,
    PRIMARY KEY (user_id, account, role)
);

CREATE INDEX grants_by_account ON grants (account);

CREATE TABLE links (
    hash BYTEA PRIMARY KEY,
    account TEXT NOT NULL,
    role TEXT NOT NULL,
    user_id BYTEA REFERENCES users (id),
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT
);
