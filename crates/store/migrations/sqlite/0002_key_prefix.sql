-- Twin of ../postgres/0002_key_prefix.sql.
-- The prefix that a key was made with: a deployment that changes its own shows old keys as they are written. The keys that
-- are there get the deployment's prefix of today with this step.
ALTER TABLE keys ADD COLUMN prefix TEXT NOT NULL DEFAULT '';
