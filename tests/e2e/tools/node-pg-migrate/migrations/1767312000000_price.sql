-- Up Migration
ALTER TABLE items ADD price int;

-- Down Migration
ALTER TABLE items DROP price;
