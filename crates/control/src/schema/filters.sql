-- Only people are seen for whom a role's condition holds; it may name somebody.
ALTER TABLE roles ADD COLUMN filter_sealed BYTEA;
