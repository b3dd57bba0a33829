-- message: migrations: every step that was tried, what is applied, and the graph
--
-- What a run of migrations keeps. A transactional step calls step_done() inside its own transaction, so the ledger and the schema are one. A step
-- that cannot be in a transaction calls step_started() before and step_finished() after, each in a transaction of its own; in between the run counts
-- as not transactional, so that reap() leaves it unresolved when its coordinator is lost. All of them check that the run is still the caller's.
--
-- The ledger goes forward only: this file has no section down, 0001's removes everything.

-- migrate:up
ALTER TABLE headgate.run
	DROP CONSTRAINT run_kind_check,
	ADD CONSTRAINT run_kind_check CHECK (kind IN ('exec', 'upgrade', 'downgrade', 'stamp', 'publish')),
	ADD COLUMN steps int,                -- how many it was to do; NULL: a command
	ADD COLUMN held_at timestamptz,      -- since when it holds traffic, where that is later than its start
	ADD COLUMN resolved_as text CHECK (resolved_as IN ('done', 'undone')),
	ADD COLUMN backup text,              -- where the backup before it is
	ADD COLUMN backup_bytes bigint,
	ADD COLUMN backup_ms bigint,
	ADD COLUMN backup_error text;

-- Every step ever tried, in the order of their trial.
CREATE TABLE headgate.step (
	step_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	run_id bigint NOT NULL,              -- without a reference, whose check would be a tenth of a step's cost: runs are never deleted
	ordinal int NOT NULL,                -- its place in the run, from 1
	kind text NOT NULL CHECK (kind IN ('up', 'down', 'repeat')),
	revision text NOT NULL,              -- of a repeatable one its file's name
	file text NOT NULL,
	line int NOT NULL,
	message text NOT NULL,
	checksum text NOT NULL,
	transactional boolean NOT NULL,
	holding boolean NOT NULL,            -- was traffic held?
	state text NOT NULL CHECK (state IN ('started', 'done', 'failed', 'undone')), -- failed: half way; undone: nothing of it is there
	attempts int NOT NULL DEFAULT 1,
	from_heads text[] NOT NULL,
	to_heads text[] NOT NULL,            -- what is recorded once it is done
	started_at timestamptz NOT NULL,
	ended_at timestamptz,
	error text,
	sqlstate text,
	error_line int
);
CREATE INDEX step_run ON headgate.step (run_id, ordinal);
CREATE INDEX step_revision ON headgate.step (revision);

-- The revisions that are applied now. step_id NULL: by stamp, or adopted.
CREATE TABLE headgate.applied (
	revision text PRIMARY KEY,
	checksum text,
	run_id bigint NOT NULL, -- 0: before there were runs of migrations
	step_id bigint,
	applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Repeatable migrations, by file name without folders: run again when the checksum has changed.
CREATE TABLE headgate.repeatable (
	file text PRIMARY KEY,
	checksum text NOT NULL,
	run_id bigint NOT NULL,
	step_id bigint,
	applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The graph of migrations, so that a proxy needs no files. The serial grows with every change; proxies read the graph when it is not theirs.
CREATE TABLE headgate.revision (
	revision text PRIMARY KEY,
	position int NOT NULL,
	parents text[] NOT NULL,
	depends text[] NOT NULL,
	labels text[] NOT NULL,
	compatible boolean NOT NULL,
	message text NOT NULL,
	checksum text
);
CREATE TABLE headgate.graph (
	one boolean PRIMARY KEY DEFAULT true CHECK (one),
	serial bigint NOT NULL,
	revisions int NOT NULL,
	run_id bigint,
	published_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO headgate.graph (serial, revisions) VALUES (0, 0);
CREATE TRIGGER headgate_nudge AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON headgate.graph
	FOR EACH STATEMENT EXECUTE FUNCTION headgate.nudge('graph');

-- The functions that a step calls are PL/pgSQL, whose plans last for the session: a run may have thousands of steps. Those that only others of ours
-- call have the search_path of their callers.

CREATE FUNCTION headgate.heads() RETURNS text[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $heads$
BEGIN
	RETURN (SELECT COALESCE(array_agg(h.head ORDER BY h.head COLLATE "C"), '{}') FROM headgate.head h);
END $heads$;

-- What is recorded from now on. Rows that stay are not touched.
CREATE FUNCTION headgate.record(p_run bigint, p_heads text[]) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $record$
BEGIN
	DELETE FROM headgate.head WHERE NOT (head = ANY (p_heads));
	INSERT INTO headgate.head (head, run_id) SELECT h, p_run FROM unnest(p_heads) AS h ON CONFLICT (head) DO NOTHING;
END $record$;

-- The run must be the caller's and not ended: else somebody believed it gone, and nothing of it may be committed any more. Whoever takes the lock ends
-- the run before anything else (reap()), and that waits for the row, which is ours until we commit.
CREATE FUNCTION headgate.mine(p_run bigint) RETURNS void
LANGUAGE plpgsql VOLATILE AS $mine$
BEGIN
	PERFORM 1 FROM headgate.run WHERE run_id = p_run AND state <> 'ended' AND coordinator_pid = pg_backend_pid() FOR SHARE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'run % is not conducted by this session any more', p_run USING ERRCODE = '55000',
			HINT = 'Somebody has found its lock free, and ended it.';
	END IF;
END $mine$;

-- A file may have given up the lock. The runner asks where it has statements that could.
CREATE FUNCTION headgate.lock_kept(p_run bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $kept$
BEGIN
	PERFORM 1 FROM pg_locks l
		WHERE l.locktype = 'advisory' AND l.pid = pg_backend_pid() AND l.granted AND l.objsubid = 1
		AND (l.classid::bigint << 32 | l.objid::bigint) = 7522525836451345509
		AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database());
	IF NOT FOUND THEN
		RAISE EXCEPTION 'this session has lost the lock of run %', p_run USING ERRCODE = '55000',
			HINT = 'A statement of the migration may have released it: pg_advisory_unlock_all() or DISCARD ALL must not stand in one.';
	END IF;
END $kept$;

-- What a step brings is there: what is applied and recorded follows.
CREATE FUNCTION headgate.step_effect(p_run bigint, p_step bigint, p_kind text, p_revision text, p_checksum text, p_to text[]) RETURNS void
LANGUAGE plpgsql VOLATILE AS $effect$
BEGIN
	IF p_kind = 'up' THEN
		INSERT INTO headgate.applied (revision, checksum, run_id, step_id) VALUES (p_revision, p_checksum, p_run, p_step)
			ON CONFLICT (revision) DO UPDATE SET checksum = EXCLUDED.checksum, run_id = EXCLUDED.run_id, step_id = EXCLUDED.step_id,
				applied_at = EXCLUDED.applied_at;
	ELSIF p_kind = 'down' THEN
		DELETE FROM headgate.applied WHERE revision = p_revision;
	ELSE
		INSERT INTO headgate.repeatable (file, checksum, run_id, step_id) VALUES (p_revision, p_checksum, p_run, p_step)
			ON CONFLICT (file) DO UPDATE SET checksum = EXCLUDED.checksum, run_id = EXCLUDED.run_id, step_id = EXCLUDED.step_id,
				applied_at = EXCLUDED.applied_at;
		RETURN;
	END IF;
	-- Mostly one head takes the place of another.
	IF cardinality(p_to) = 1 THEN
		UPDATE headgate.head SET head = p_to[1], run_id = p_run, recorded_at = clock_timestamp()
			WHERE (SELECT count(*) FROM headgate.head) = 1;
		IF FOUND THEN
			RETURN;
		END IF;
	END IF;
	DELETE FROM headgate.head WHERE NOT (head = ANY (p_to));
	INSERT INTO headgate.head (head, run_id) SELECT h, p_run FROM unnest(p_to) AS h ON CONFLICT (head) DO NOTHING;
END $effect$;

-- The same of a step that was recorded before.
CREATE FUNCTION headgate.step_take(p_step bigint) RETURNS void
LANGUAGE plpgsql VOLATILE AS $take$
DECLARE
	s headgate.step;
BEGIN
	UPDATE headgate.step SET state = 'done', ended_at = clock_timestamp() WHERE step_id = p_step RETURNING * INTO s;
	PERFORM headgate.step_effect(s.run_id, s.step_id, s.kind, s.revision, s.checksum, s.to_heads);
END $take$;

-- The row of a step that begins. p_from is what its caller believes recorded.
CREATE FUNCTION headgate.step_add(
	p_run bigint, p_ordinal int, p_kind text, p_revision text, p_file text, p_line int, p_message text, p_checksum text,
	p_transactional boolean, p_holding boolean, p_attempts int, p_from text[], p_to text[], p_started timestamptz, p_state text) RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $add$
DECLARE
	id bigint;
	recorded text[];
BEGIN
	PERFORM headgate.mine(p_run);
	SELECT COALESCE(array_agg(h.head), '{}') INTO recorded FROM headgate.head h;
	IF NOT (recorded @> p_from AND recorded <@ p_from) THEN
		RAISE EXCEPTION 'recorded is % and not % as the run believes', recorded, p_from USING ERRCODE = '55000';
	END IF;
	INSERT INTO headgate.step (run_id, ordinal, kind, revision, file, line, message, checksum, transactional, holding, attempts,
			from_heads, to_heads, started_at, state, ended_at)
		VALUES (p_run, p_ordinal, p_kind, p_revision, p_file, p_line, p_message, p_checksum, p_transactional, p_holding, p_attempts,
			p_from, p_to, p_started, p_state, CASE WHEN p_state = 'done' THEN clock_timestamp() END)
		RETURNING step_id INTO id;
	RETURN id;
END $add$;

-- A transactional step, as the last statement of its transaction, whose start is the step's.
CREATE FUNCTION headgate.step_done(
	p_run bigint, p_ordinal int, p_kind text, p_revision text, p_file text, p_line int, p_message text, p_checksum text,
	p_holding boolean, p_attempts int, p_from text[], p_to text[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $done$
DECLARE
	id bigint := headgate.step_add(p_run, p_ordinal, p_kind, p_revision, p_file, p_line, p_message, p_checksum, true, p_holding, p_attempts,
		p_from, p_to, transaction_timestamp(), 'done');
BEGIN
	PERFORM headgate.step_effect(p_run, id, p_kind, p_revision, p_checksum, p_to);
	RETURN id;
END $done$;

-- A step outside a transaction begins: from here on losing the coordinator leaves the run unresolved.
CREATE FUNCTION headgate.step_started(
	p_run bigint, p_ordinal int, p_kind text, p_revision text, p_file text, p_line int, p_message text, p_checksum text,
	p_holding boolean, p_attempts int, p_from text[], p_to text[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $started$
BEGIN
	UPDATE headgate.run SET transactional = false WHERE run_id = p_run;
	RETURN headgate.step_add(p_run, p_ordinal, p_kind, p_revision, p_file, p_line, p_message, p_checksum, false, p_holding, p_attempts,
		p_from, p_to, clock_timestamp(), 'started');
END $started$;

CREATE FUNCTION headgate.step_finished(p_step bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $finished$
DECLARE
	s headgate.step;
BEGIN
	SELECT * INTO s FROM headgate.step WHERE step_id = p_step AND state = 'started';
	IF NOT FOUND THEN
		RAISE EXCEPTION 'step % is not at work', p_step USING ERRCODE = '55000';
	END IF;
	PERFORM headgate.mine(s.run_id);
	PERFORM headgate.lock_kept(s.run_id);
	PERFORM headgate.step_take(p_step);
	UPDATE headgate.run SET transactional = true WHERE run_id = s.run_id;
END $finished$;

-- A step that failed. With p_step (from step_started()): p_undone says that nothing of it is there, for certain; else the run is left half way.
-- Without: a transactional one, which was rolled back.
CREATE FUNCTION headgate.step_failed(
	p_step bigint, p_undone boolean, p_run bigint, p_ordinal int, p_kind text, p_revision text, p_file text, p_line int, p_message text,
	p_checksum text, p_holding boolean, p_attempts int, p_from text[], p_to text[], p_started timestamptz,
	p_error text, p_sqlstate text, p_error_line int) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $failed$
DECLARE
	id bigint := p_step;
BEGIN
	IF id IS NULL THEN
		id := headgate.step_add(p_run, p_ordinal, p_kind, p_revision, p_file, p_line, p_message, p_checksum, true, p_holding, p_attempts,
			p_from, p_to, p_started, 'undone');
	ELSE
		PERFORM headgate.mine(p_run);
	END IF;
	UPDATE headgate.step SET
		state = CASE WHEN p_step IS NULL OR p_undone THEN 'undone' ELSE 'failed' END,
		ended_at = clock_timestamp(), error = p_error, sqlstate = p_sqlstate, error_line = p_error_line, attempts = p_attempts
		WHERE step_id = id;
	IF p_step IS NOT NULL AND p_undone THEN
		UPDATE headgate.run SET transactional = true WHERE run_id = p_run;
	END IF;
	RETURN id;
END $failed$;

-- A run that let traffic flow is to hold it from now on. The rule at renew() in 0001 is the same as for announce(): the lock comes first.
CREATE FUNCTION headgate.begin_hold(p_run bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $hold$
BEGIN
	IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
		RAISE EXCEPTION 'headgate.begin_hold() must run in READ COMMITTED' USING ERRCODE = '25001';
	END IF;
	LOCK TABLE headgate.proxy IN SHARE ROW EXCLUSIVE MODE;
	PERFORM headgate.mine(p_run);
	UPDATE headgate.run SET holding = true, state = 'draining', held_at = clock_timestamp() WHERE run_id = p_run;
END $hold$;

-- The breaking part is over: traffic flows beside what is left.
CREATE FUNCTION headgate.end_hold(p_run bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $release$
BEGIN
	PERFORM headgate.mine(p_run);
	UPDATE headgate.run SET holding = false WHERE run_id = p_run;
END $release$;

-- Records heads that something else than a migration of ours has brought (`headgate exec --to`, a ledger from before this file): applied is, by the
-- graph, all that they have, with checksums that nobody knows, and nothing that they have not. True.
CREATE FUNCTION headgate.adopt(p_run bigint, p_heads text[]) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $adopt$
DECLARE
	has text[];
BEGIN
	PERFORM headgate.record(p_run, p_heads);
	WITH RECURSIVE below AS (
		SELECT r.revision, r.parents || r.depends AS before FROM headgate.revision r WHERE r.revision = ANY (p_heads)
		UNION SELECT r.revision, r.parents || r.depends FROM below b JOIN headgate.revision r ON r.revision = ANY (b.before))
		SELECT COALESCE(array_agg(revision), '{}') INTO has FROM below;
	DELETE FROM headgate.applied WHERE NOT (revision = ANY (has));
	INSERT INTO headgate.applied (revision, run_id) SELECT r, p_run FROM unnest(has) r ON CONFLICT (revision) DO NOTHING;
	RETURN true;
END $adopt$;

-- Makes this the graph: [{"revision": "a", "parents": [], "depends": [], "labels": [], "compatible": false, "message": "", "checksum": null}, ...] in
-- catalog order. What is recorded must be in it, where it is ours. Returns the serial, which stays when nothing has changed.
CREATE FUNCTION headgate.publish(p_run bigint, p_graph jsonb) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $publish$
DECLARE
	changed bigint;
	n bigint;
	missing text;
	result bigint;
BEGIN
	-- One publication at a time.
	PERFORM 1 FROM headgate.graph FOR UPDATE;
	SELECT string_agg(h.head, ', ') INTO missing FROM headgate.head h
		WHERE NOT EXISTS (SELECT FROM jsonb_array_elements(p_graph) e WHERE e->>'revision' = h.head);
	IF missing IS NOT NULL THEN
		RAISE EXCEPTION 'the graph lacks what is recorded: %', missing USING ERRCODE = '55000',
			HINT = 'These files are older than the database, or another project''s.';
	END IF;
	DELETE FROM headgate.revision r WHERE NOT EXISTS (SELECT FROM jsonb_array_elements(p_graph) e WHERE e->>'revision' = r.revision);
	GET DIAGNOSTICS changed = ROW_COUNT;
	INSERT INTO headgate.revision AS r (revision, position, parents, depends, labels, compatible, message, checksum)
		SELECT e->>'revision', o, ARRAY(SELECT jsonb_array_elements_text(e->'parents')), ARRAY(SELECT jsonb_array_elements_text(e->'depends')),
			ARRAY(SELECT jsonb_array_elements_text(e->'labels')), (e->>'compatible')::boolean, COALESCE(e->>'message', ''), e->>'checksum'
		FROM jsonb_array_elements(p_graph) WITH ORDINALITY AS g(e, o)
		ON CONFLICT (revision) DO UPDATE SET position = EXCLUDED.position, parents = EXCLUDED.parents, depends = EXCLUDED.depends,
			labels = EXCLUDED.labels, compatible = EXCLUDED.compatible, message = EXCLUDED.message, checksum = EXCLUDED.checksum
		WHERE (r.position, r.parents, r.depends, r.labels, r.compatible, r.message, r.checksum) IS DISTINCT FROM
			(EXCLUDED.position, EXCLUDED.parents, EXCLUDED.depends, EXCLUDED.labels, EXCLUDED.compatible, EXCLUDED.message, EXCLUDED.checksum);
	GET DIAGNOSTICS n = ROW_COUNT;
	IF changed + n > 0 THEN
		UPDATE headgate.graph SET serial = serial + 1, revisions = jsonb_array_length(p_graph), run_id = p_run, published_at = clock_timestamp();
	END IF;
	IF NOT EXISTS (SELECT FROM headgate.applied) AND EXISTS (SELECT FROM headgate.head) THEN
		PERFORM headgate.adopt(COALESCE(p_run, (SELECT max(h.run_id) FROM headgate.head h), 0), headgate.heads());
	END IF;
	SELECT g.serial INTO result FROM headgate.graph g;
	RETURN result;
END $publish$;

-- Records heads without running anything. p_applied: [{"revision": "a", "checksum": "..."}, ...], all that these heads have.
CREATE FUNCTION headgate.stamp(
	p_who text, p_os_user text, p_host text, p_reason text, p_command text[], p_heads text[], p_applied jsonb) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $stamp$
DECLARE
	id bigint;
	half text;
	recorded text[];
BEGIN
	IF NOT pg_try_advisory_xact_lock(7522525836451345509) THEN
		RAISE EXCEPTION 'a run is under way in this database' USING ERRCODE = '55P03';
	END IF;
	PERFORM headgate.reap();
	SELECT n.run_id::text INTO half FROM headgate.run n WHERE n.unresolved ORDER BY n.run_id LIMIT 1;
	IF half IS NOT NULL THEN
		RAISE EXCEPTION 'run % was left half way', half USING ERRCODE = '55000', HINT = 'See what was done, then `headgate resolve`.';
	END IF;
	recorded := headgate.heads();
	INSERT INTO headgate.run (kind, state, outcome, holding, transactional, who, os_user, host, reason, command, from_heads, from_state, target,
			to_heads, to_state, ended_at)
		VALUES ('stamp', 'ended', 'succeeded', false, true, p_who, p_os_user, p_host, p_reason, p_command, recorded,
			CASE WHEN recorded = '{}' THEN 'empty' ELSE 'clean' END, p_heads, p_heads, CASE WHEN p_heads = '{}' THEN 'empty' ELSE 'clean' END,
			clock_timestamp())
		RETURNING run_id INTO id;
	PERFORM headgate.record(id, p_heads);
	DELETE FROM headgate.applied a WHERE NOT EXISTS (SELECT FROM jsonb_array_elements(p_applied) e WHERE e->>'revision' = a.revision);
	INSERT INTO headgate.applied (revision, checksum, run_id) SELECT e->>'revision', e->>'checksum', id FROM jsonb_array_elements(p_applied) e
		ON CONFLICT (revision) DO NOTHING;
	RETURN id;
END $stamp$;

CREATE OR REPLACE FUNCTION headgate.reap() RETURNS bigint
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $reap$
	UPDATE headgate.run n SET
		state = 'ended', ended_at = clock_timestamp(),
		outcome = CASE WHEN state = 'running' AND NOT transactional THEN 'failed' ELSE 'abandoned' END,
		unresolved = (state = 'running' AND NOT transactional),
		error = COALESCE(error, (SELECT format('its coordinator was lost in step %s (%s of %s, %s:%s), which is outside a transaction',
				s.ordinal, s.kind, s.revision, s.file, s.line)
			FROM headgate.step s WHERE s.run_id = n.run_id AND s.state IN ('started', 'failed') AND NOT s.transactional
			ORDER BY s.step_id DESC LIMIT 1), 'its coordinator was lost while it was ' || state)
	WHERE state <> 'ended'
	RETURNING run_id
$reap$;

-- An operator says what was done about a run that was left half way; p_as, where a step of it is open: done (what it brings is there) or undone
-- (nothing of it is). True when there was one.
DROP FUNCTION headgate.resolve(bigint, text, text);
CREATE FUNCTION headgate.resolve(p_run_id bigint, p_who text, p_note text, p_as text DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $resolve$
DECLARE
	open headgate.step;
BEGIN
	PERFORM 1 FROM headgate.run WHERE run_id = p_run_id AND unresolved FOR UPDATE;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	SELECT * INTO open FROM headgate.step WHERE run_id = p_run_id AND state IN ('started', 'failed') ORDER BY step_id DESC LIMIT 1;
	IF FOUND AND p_as IS NULL THEN
		RAISE EXCEPTION 'step % of run % (% of %, %:%) was left half way: say whether it is done or undone', open.ordinal, p_run_id, open.kind,
			open.revision, open.file, open.line USING ERRCODE = '22023',
			HINT = 'headgate resolve --as done, when you have finished it by hand; --as undone, when nothing of it is there any more.';
	END IF;
	IF FOUND AND p_as = 'done' THEN
		PERFORM headgate.step_take(open.step_id);
	ELSIF FOUND THEN
		UPDATE headgate.step SET state = 'undone', ended_at = COALESCE(ended_at, clock_timestamp()) WHERE step_id = open.step_id;
	END IF;
	UPDATE headgate.run SET unresolved = false, resolved_at = clock_timestamp(), resolved_by = p_who, resolved_note = p_note, resolved_as = p_as
		WHERE run_id = p_run_id;
	RETURN true;
END $resolve$;

-- A proxy's renewal, in one round trip: says that it is here, acknowledges a run, and returns one row: the active run (run_id NULL: none), the oldest
-- unresolved one, the pins, one a line, as "head milliseconds-left" (-1: no end), and the
-- graph's serial, which is 0001's renew() with that column more.
--
-- The rule that keeps promise 2 stands at renew() in 0001, and holds here word for word: it WRITES headgate.proxy before it READS headgate.run.
DROP FUNCTION headgate.renew(uuid, text, text, int, bigint, int[]);
CREATE FUNCTION headgate.renew(
	p_proxy_id uuid, p_name text, p_version text, p_lease_ms int, p_acked_run bigint, p_pids int[],
	OUT run_id bigint, OUT run_state text, OUT holding boolean, OUT who text, OUT reason text, OUT from_heads text, OUT target text,
	OUT unresolved_run bigint, OUT unresolved_text text, OUT pins text, OUT graph_serial bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $renew$
#variable_conflict use_column
DECLARE
	fresh boolean;
	old_ack bigint;
	r record;
BEGIN
	IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
		RAISE EXCEPTION 'headgate.renew() must run in READ COMMITTED' USING ERRCODE = '25001';
	END IF;

	SELECT p.acked_run INTO old_ack FROM headgate.proxy p WHERE p.proxy_id = p_proxy_id;
	INSERT INTO headgate.proxy AS p (proxy_id, name, version, seen_at, lease_ms, link_pid, client_addr, acked_run, acked_at, pids)
		VALUES (p_proxy_id, p_name, p_version, clock_timestamp(), p_lease_ms, pg_backend_pid(), inet_client_addr(), p_acked_run,
			CASE WHEN p_acked_run IS NOT NULL THEN clock_timestamp() END, COALESCE(p_pids, '{}'))
		ON CONFLICT (proxy_id) DO UPDATE SET
			name = EXCLUDED.name, version = EXCLUDED.version, seen_at = clock_timestamp(), lease_ms = EXCLUDED.lease_ms,
			link_pid = EXCLUDED.link_pid, client_addr = EXCLUDED.client_addr, acked_run = EXCLUDED.acked_run,
			acked_at = CASE WHEN p.acked_run IS NOT DISTINCT FROM EXCLUDED.acked_run THEN p.acked_at ELSE EXCLUDED.acked_at END,
			pids = EXCLUDED.pids
		RETURNING (xmax = 0) INTO fresh;
	IF fresh THEN
		-- Those that never said goodbye; SKIP LOCKED, as another newcomer may be at it.
		DELETE FROM headgate.proxy d WHERE d.proxy_id IN (SELECT p.proxy_id FROM headgate.proxy p
			WHERE p.seen_at < clock_timestamp() - interval '1 day' FOR UPDATE SKIP LOCKED);
	END IF;

	-- A new snapshot from here on: see the rule above.
	SELECT n.* INTO r FROM headgate.run n WHERE n.state <> 'ended';
	IF FOUND AND pg_try_advisory_xact_lock(7522525836451345509) THEN
		-- Nobody conducts it, or it has just ended: then reap() finds nothing, and the next look sees that.
		PERFORM headgate.reap();
		SELECT n.* INTO r FROM headgate.run n WHERE n.state <> 'ended';
	END IF;
	IF FOUND THEN
		run_id := r.run_id;
		run_state := r.state;
		holding := r.holding;
		who := r.who;
		reason := r.reason;
		from_heads := array_to_string(r.from_heads, '+');
		target := array_to_string(r.target, '+');
		IF p_acked_run = r.run_id AND old_ack IS DISTINCT FROM p_acked_run THEN
			PERFORM pg_notify('headgate_ack', p_acked_run::text);
		END IF;
	END IF;

	SELECT n.run_id, format('run %s (%s, by %s, %s) was left half way: %s', n.run_id, n.kind, n.who,
			to_char(n.started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'), COALESCE(n.error, 'no reason recorded'))
		INTO unresolved_run, unresolved_text
		FROM headgate.run n WHERE n.unresolved ORDER BY n.run_id LIMIT 1;
	SELECT string_agg(format('%s %s', i.head,
			COALESCE(ceil(extract(epoch FROM i.until - clock_timestamp()) * 1000)::bigint, -1)), E'\n' ORDER BY i.head)
		INTO pins
		FROM headgate.pin i WHERE i.until IS NULL OR (isfinite(i.until) AND i.until > clock_timestamp());
	SELECT g.serial INTO graph_serial FROM headgate.graph g;
END $renew$;

REVOKE ALL ON FUNCTION headgate.renew(uuid, text, text, int, bigint, int[]) FROM PUBLIC;
REVOKE ALL ON FUNCTION headgate.resolve(bigint, text, text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION headgate.heads(), headgate.lock_kept(bigint), headgate.record(bigint, text[]), headgate.mine(bigint), headgate.step_take(bigint),
	headgate.step_effect(bigint, bigint, text, text, text, text[]),
	headgate.step_add(bigint, int, text, text, text, int, text, text, boolean, boolean, int, text[], text[], timestamptz, text),
	headgate.step_done(bigint, int, text, text, text, int, text, text, boolean, int, text[], text[]),
	headgate.step_started(bigint, int, text, text, text, int, text, text, boolean, int, text[], text[]), headgate.step_finished(bigint),
	headgate.step_failed(bigint, boolean, bigint, int, text, text, text, int, text, text, boolean, int, text[], text[], timestamptz, text, text, int),
	headgate.begin_hold(bigint), headgate.end_hold(bigint), headgate.adopt(bigint, text[]), headgate.publish(bigint, jsonb),
	headgate.stamp(text, text, text, text, text[], text[], jsonb) FROM PUBLIC;
