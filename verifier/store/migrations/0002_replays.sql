-- Answers that came after the one that was judged.
ALTER TABLE transactions ADD COLUMN replays INTEGER NOT NULL DEFAULT 0;
