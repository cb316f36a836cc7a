-- Whether a deletion's job has ever begun: from then on it cannot be cancelled, and its people are left out of
-- parts. Those of before count as begun: their people may have been left out already.
ALTER TABLE deletions ADD COLUMN begun BIGINT NOT NULL DEFAULT 1;
