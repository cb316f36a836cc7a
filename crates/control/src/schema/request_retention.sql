-- How long an account's request log is kept, days; none where the account says nothing, and the configuration's value
-- holds. Until now every account had a number of its own, which nobody could change: it stays the account's, so that no
-- upgrade removes what was promised to be kept. `account retention --requests-as-configured` takes it away.
ALTER TABLE accounts RENAME COLUMN request_retention_days TO request_days_once;
ALTER TABLE accounts ADD COLUMN request_retention_days BIGINT;
UPDATE accounts SET request_retention_days = request_days_once;
ALTER TABLE accounts DROP COLUMN request_days_once;
