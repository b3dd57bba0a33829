ALTER TABLE items ADD price int;
