-- depends: 0001.items
ALTER TABLE items ADD price int;
