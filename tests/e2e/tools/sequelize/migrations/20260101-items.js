const { Sequelize } = require("sequelize");

exports.up = ({ context }) => context.createTable("items", { id: { type: Sequelize.INTEGER, primaryKey: true } });
exports.down = ({ context }) => context.dropTable("items");
