-- On which terms a passcode is accepted. The scopes that are there say `api`: all of them.

ALTER TABLE passcodes ADD COLUMN expires_at BIGINT;
ALTER TABLE passcodes ADD COLUMN networks TEXT NOT NULL DEFAULT '';
