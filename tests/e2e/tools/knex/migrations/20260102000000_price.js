exports.up = (knex) => knex.schema.alterTable("items", (table) => table.integer("price"));
exports.down = (knex) => knex.schema.alterTable("items", (table) => table.dropColumn("price"));
