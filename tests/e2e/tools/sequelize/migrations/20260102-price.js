const { Sequelize } = require("sequelize");

exports.up = ({ context }) => context.addColumn("items", "price", { type: Sequelize.INTEGER });
exports.down = ({ context }) => context.removeColumn("items", "price");
