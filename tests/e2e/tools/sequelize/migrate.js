// Umzug over Sequelize, as its documentation has it: migrate.js up | down.
const { Sequelize } = require("sequelize");
const { Umzug, SequelizeStorage } = require("umzug");

const sequelize = new Sequelize(process.env.DATABASE_URL, { logging: false });
const umzug = new Umzug({
  migrations: { glob: "migrations/*.js" },
  context: sequelize.getQueryInterface(),
  storage: new SequelizeStorage({ sequelize }),
  logger: undefined,
});
umzug[process.argv[2]]().then(() => sequelize.close(), (error) => { console.error(error); process.exit(1); });
