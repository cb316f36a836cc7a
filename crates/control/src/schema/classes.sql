-- What an account says of its properties: their class of personal information, and how they are masked.
CREATE TABLE classes (
    account TEXT NOT NULL REFERENCES accounts (id),
    of TEXT NOT NULL,
    property TEXT NOT NULL,
    class TEXT NOT NULL,
    mask TEXT NOT NULL,
    PRIMARY KEY (account, of, property)
);

-- Whoever could read could read personal information: passcodes that were made before stay as they were.
UPDATE passcodes SET scopes = scopes || ',personal_information'
    WHERE scopes <> 'api' AND ',' || scopes || ',' LIKE '%,read,%';
