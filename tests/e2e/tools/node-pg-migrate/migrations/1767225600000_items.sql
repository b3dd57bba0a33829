-- Up Migration
CREATE TABLE items (id int PRIMARY KEY, name text);

-- Down Migration
DROP TABLE items;
