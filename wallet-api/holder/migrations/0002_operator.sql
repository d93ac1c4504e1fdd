-- The issuer's own last list, where its second status operator has gone on (registry/README.md).
ALTER TABLE evidence ADD COLUMN base BLOB;     -- its record and place in its epoch; null: the issuer itself publishes
ALTER TABLE copy ADD COLUMN base_chunk BLOB;   -- its chunk that holds this entry; null: the same values
