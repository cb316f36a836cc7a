-- Devices that have opted out, by keyed hashes, and when they last said so. A row goes when its device opts in.
CREATE TABLE opt_outs (
    account TEXT NOT NULL,
    device BYTEA NOT NULL,
    since BIGINT NOT NULL,
    PRIMARY KEY (account, device)
);
