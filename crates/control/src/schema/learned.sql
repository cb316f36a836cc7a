-- Names that records use, counted as they are put into parts. Anybody may choose a name, so names are sealed.
CREATE TABLE learned (
    account TEXT NOT NULL,
    name_hash BYTEA NOT NULL,
    scope TEXT NOT NULL,
    name_sealed BYTEA NOT NULL,
    kind TEXT NOT NULL,
    count BIGINT NOT NULL,
    texts BIGINT NOT NULL,
    integers BIGINT NOT NULL,
    floats BIGINT NOT NULL,
    booleans BIGINT NOT NULL,
    dates BIGINT NOT NULL,
    lists BIGINT NOT NULL,
    objects BIGINT NOT NULL,
    nulls BIGINT NOT NULL,
    first_seen BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    PRIMARY KEY (account, name_hash)
);

-- What was wrong with records that were kept or refused, by what and by whom.
CREATE TABLE schema_errors (
    account TEXT NOT NULL,
    error TEXT NOT NULL,
    source TEXT NOT NULL,
    name_hash BYTEA NOT NULL,
    name_sealed BYTEA NOT NULL,
    count BIGINT NOT NULL,
    first_seen BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    sample BYTEA,
    PRIMARY KEY (account, error, source, name_hash)
);
