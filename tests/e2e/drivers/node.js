// node-postgres: what it sees, line by line. Reads libpq's environment.
'use strict';
const { Client, Pool } = require('pg');
const say = (...words) => console.log(words.map((w) => (typeof w === 'string' ? w : JSON.stringify(w))).join(' '));
const file = (name) => name && require('fs').readFileSync(name);
const { PGSSLMODE, PGSSLROOTCERT, PGSSLCERT, PGSSLKEY } = process.env;
const ssl = PGSSLMODE === 'disable' ? false : { ca: file(PGSSLROOTCERT), cert: file(PGSSLCERT), key: file(PGSSLKEY), servername: 'localhost' };
// Version 7 sends no options: the head goes with the application's name.
const head = parseInt(require('pg/package.json').version) < 8 && /headgate\.(head=\S+)/.exec(process.env.PGOPTIONS);
const settings = { ssl, options: process.env.PGOPTIONS, application_name: head ? 'node ' + head[1] : 'node', connectionTimeoutMillis: 20000 };

async function main() {
	const client = new Client(settings);
	await client.connect();
	say((await client.query('SELECT session_user::text AS u')).rows[0].u);
	if (process.argv[2] === 'login') return client.end();
	say((await client.query('SELECT $1::int + 1 AS a, $2::text AS b, NULL AS c', [41, 'ünï'])).rows);
	for (let i = 0; i < 5; i++) say((await client.query({ name: 'prepared', text: 'SELECT $1::text AS v', values: ['v' + i] })).rows);
	await client.query('CREATE TEMP TABLE t (a int, b text)');
	await Promise.all([...Array(200).keys()].map((i) => client.query('INSERT INTO t VALUES ($1, $2)', [i, 'x'.repeat(i)])));
	say((await client.query('SELECT count(*), sum(length(b)) FROM t')).rows);
	say((await client.query("SELECT 1 AS one; SELECT 2 AS two")).map((r) => r.rows));
	for (const bad of ['SELECT 1/0', 'SELEC', 'SELECT * FROM nowhere']) {
		try { await client.query(bad); } catch (error) { say(bad, error.code, error.severity); }
		try { await client.query(bad + ' WHERE $1', [1]); } catch (error) { say(bad, error.code, error.severity); }
	}
	await client.query('BEGIN');
	await client.query('INSERT INTO t VALUES (1000)');
	await client.query('ROLLBACK');
	say((await client.query('SELECT max(a) FROM t')).rows);
	const heard = new Promise((resolve) => client.once('notification', (n) => resolve(n.payload)));
	client.on('notice', (n) => say('notice', n.message));
	await client.query("LISTEN c; NOTIFY c, 'payload'");
	say('heard', await heard);
	await client.query("DO $$BEGIN RAISE NOTICE 'told'; END$$");
	say((await client.query("SELECT repeat('y', 3000000) AS y")).rows[0].y.length);
	await client.end();
	const pool = new Pool({ ...settings, max: 5 });
	const answers = await Promise.all([...Array(100).keys()].map((i) => pool.query('SELECT $1::int AS n', [i])));
	say(answers.reduce((sum, r) => sum + r.rows[0].n, 0));
	await pool.end();
}
main().catch((error) => { say('failed', error.code || '', error.message); process.exit(1); });
