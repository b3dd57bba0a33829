-- migrate:up
CREATE TABLE items (id int PRIMARY KEY, name text);

-- migrate:down
DROP TABLE items;
