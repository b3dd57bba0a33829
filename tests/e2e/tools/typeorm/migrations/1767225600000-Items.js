module.exports = class Items1767225600000 {
  async up(runner) { await runner.query("CREATE TABLE items (id int PRIMARY KEY, name text)"); }
  async down(runner) { await runner.query("DROP TABLE items"); }
};
