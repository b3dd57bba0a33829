-- migrate:up
ALTER TABLE items ADD price int;

-- migrate:down
ALTER TABLE items DROP price;
