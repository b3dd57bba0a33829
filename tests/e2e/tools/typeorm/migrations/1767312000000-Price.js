module.exports = class Price1767312000000 {
  async up(runner) { await runner.query("ALTER TABLE items ADD price int"); }
  async down(runner) { await runner.query("ALTER TABLE items DROP price"); }
};
