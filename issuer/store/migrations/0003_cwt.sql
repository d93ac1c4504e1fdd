-- The same list as a CWT; null: published before there was one.
ALTER TABLE published_lists ADD COLUMN cwt BLOB;
