-- Devices that have opted in again stay, so that an opting out of before which comes late does not end it.
ALTER TABLE opt_outs ADD COLUMN is_out BIGINT NOT NULL DEFAULT 1;
