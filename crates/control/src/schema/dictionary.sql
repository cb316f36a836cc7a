-- What an account says of events and of their properties; a property of '' is the event itself.
CREATE TABLE dictionary (
    account TEXT NOT NULL REFERENCES accounts (id),
    event TEXT NOT NULL,
    property TEXT NOT NULL,
    status TEXT NOT NULL,
    PRIMARY KEY (account, event, property)
);

-- What becomes of events and properties that are not in there.
ALTER TABLE accounts ADD COLUMN undefined_events TEXT NOT NULL DEFAULT 'accept';
ALTER TABLE accounts ADD COLUMN undefined_properties TEXT NOT NULL DEFAULT 'accept';
