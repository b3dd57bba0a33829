ALTER TABLE items DROP half_way;
