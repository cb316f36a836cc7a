-- Whether the job of a deletion has begun with a line of the ledger: from then on its person is left out of parts.
-- A line by which a deletion was extended waits for the job's next turn, which follows the person's links first.
ALTER TABLE ledger ADD COLUMN begun BIGINT NOT NULL DEFAULT 0;
UPDATE ledger SET begun = 1 WHERE deletion IN (SELECT id FROM deletions WHERE begun = 1);
