-- What an account has declared of a property: the kind of its values, and whether an event must have it.
-- An event of '' stands for people.
ALTER TABLE dictionary ADD COLUMN kind TEXT;
ALTER TABLE dictionary ADD COLUMN mandatory BIGINT NOT NULL DEFAULT 0;

-- What becomes of values of another kind, and of people's properties that are not in there.
ALTER TABLE accounts ADD COLUMN mismatched_properties TEXT NOT NULL DEFAULT 'accept';
ALTER TABLE accounts ADD COLUMN undefined_profile TEXT NOT NULL DEFAULT 'accept';
ALTER TABLE accounts ADD COLUMN mismatched_profile TEXT NOT NULL DEFAULT 'accept';
