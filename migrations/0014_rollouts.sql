-- How far a rollout is, which services go on in instances of an earlier attempt, and what is kept for an instant way back.
ALTER TABLE environments ADD COLUMN target_progress TEXT NOT NULL DEFAULT '{}'; -- JSON: steps, pause, withdrawal
ALTER TABLE environments ADD COLUMN target_kept TEXT NOT NULL DEFAULT '{}'; -- JSON: service -> attempt it runs in
ALTER TABLE environments ADD COLUMN serving_kept TEXT NOT NULL DEFAULT '{}';
ALTER TABLE environments ADD COLUMN warm_revision INTEGER; -- what served before, its attempt, and until when it is kept
ALTER TABLE environments ADD COLUMN warm_generation INTEGER;
ALTER TABLE environments ADD COLUMN warm_kept TEXT NOT NULL DEFAULT '{}';
ALTER TABLE environments ADD COLUMN warm_until INTEGER;
