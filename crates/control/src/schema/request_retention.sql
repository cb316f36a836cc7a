-- How long an account's request log is kept, days; none where the account says nothing, and the configuration's value
-- holds. Until now every account had the same number, which nobody could change.
ALTER TABLE accounts DROP COLUMN request_retention_days;
ALTER TABLE accounts ADD COLUMN request_retention_days BIGINT;
