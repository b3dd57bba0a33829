ALTER TABLE items ADD half_way int; SELECT 1 / 0;
