-- message: the ledger: proxies, runs, recorded heads, pins
--
-- Everything lives in the schema `headgate`. The role that applies this file owns it and is the role that conducts runs (control.run_dsn). The
-- control role (control.dsn) needs only what `headgate init` grants it: to call renew() and leave(), and to read. Works on PostgreSQL 13 and later.
--
-- One advisory lock a database says who may change the schema: the bigint 7522525836451345509, which is 0x6865616467617465, ASCII "headgate". A
-- coordinator holds it on its own session from before it announces a run until after it has ended it. It is polled with pg_try_advisory_lock() and
-- never waited for inside a statement: a waiter's snapshot would block the winner's CREATE INDEX CONCURRENTLY.
--
-- Channels: `headgate` tells proxies to read again (payload run, version or pin: a nudge, never news); `headgate_ack` tells the coordinator that a
-- proxy acknowledged (payload: the run's number).

-- migrate:up
CREATE SCHEMA headgate;
COMMENT ON SCHEMA headgate IS 'Headgate''s ledger: who may pass, who migrated, when and why';

-- The ledger's own versions, one row a file of migrations/headgate.
CREATE TABLE headgate.version (
	version int PRIMARY KEY,
	file text NOT NULL,
	applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	applied_by text NOT NULL DEFAULT session_user
);

-- What the database is at, for the reader `headgate`.
CREATE TABLE headgate.head (
	head text PRIMARY KEY CHECK (head ~ '^[!-~]{1,64}$' AND head !~ '[+,@;''"\\]'),
	run_id bigint,
	recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Who gates this database. A proxy's lease certainly has run out at seen_at + lease_ms: it counts from before the renewal was sent, which is before
-- seen_at was taken.
CREATE TABLE headgate.proxy (
	proxy_id uuid PRIMARY KEY,
	name text NOT NULL,
	version text NOT NULL,
	started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	seen_at timestamptz NOT NULL,
	lease_ms int NOT NULL CHECK (lease_ms > 0),
	link_pid int NOT NULL,        -- the control link's own backend: not a stranger to the fence
	client_addr inet,
	acked_run bigint,             -- all its sessions are parked for this run ...
	acked_at timestamptz,
	pids int[] NOT NULL DEFAULT '{}' -- ... and these are their backends
);

CREATE TABLE headgate.run (
	run_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	kind text NOT NULL CHECK (kind IN ('exec', 'upgrade', 'downgrade', 'stamp')),
	state text NOT NULL DEFAULT 'draining' CHECK (state IN ('draining', 'running', 'ended')),
	outcome text CHECK (outcome IN ('succeeded', 'failed', 'abandoned', 'gave_up', 'cancelled')),
	holding boolean NOT NULL DEFAULT true,        -- traffic is held while the run lasts
	transactional boolean NOT NULL DEFAULT false, -- what runs now is rolled back with its coordinator
	unresolved boolean NOT NULL DEFAULT false,    -- left half way: the gate stays shut until somebody resolves it
	attempt int NOT NULL DEFAULT 1,
	who text NOT NULL,                            -- for people: ann@build7
	os_user text,
	host text,
	db_user text NOT NULL DEFAULT session_user,
	client_addr inet DEFAULT inet_client_addr(),
	reason text,
	command text[],
	from_heads text[] NOT NULL DEFAULT '{}',
	from_state text,
	target text[],                                -- NULL: not known beforehand
	to_heads text[],
	to_state text,
	coordinator_pid int NOT NULL DEFAULT pg_backend_pid(),
	started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	drained_at timestamptz,
	running_at timestamptz,
	ended_at timestamptz,
	exit_status int,
	error text,
	output_tail text,
	resolved_at timestamptz,
	resolved_by text,
	resolved_note text,
	CHECK ((state = 'ended') = (outcome IS NOT NULL)),
	CHECK ((state = 'ended') = (ended_at IS NOT NULL)),
	CHECK (NOT unresolved OR state = 'ended')
);
-- At most one run at a time, whatever a coordinator believes.
CREATE UNIQUE INDEX run_active ON headgate.run ((true)) WHERE state <> 'ended';
CREATE INDEX run_unresolved ON headgate.run (run_id) WHERE unresolved;

-- A head accepted besides the recorded one, by order of an operator, until a time. Several revisions of one set are joined by '+'.
CREATE TABLE headgate.pin (
	head text PRIMARY KEY CHECK (head ~ '^[!-~]+$' AND head !~ '[,@;''"\\]' AND length(head) <= 1040),
	until timestamptz, -- NULL: no end
	who text NOT NULL,
	reason text,
	pinned_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Tells the proxies to read again. `headgate init` puts it on the version table of the tool in use.
CREATE FUNCTION headgate.nudge() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $nudge$
BEGIN
	PERFORM pg_notify('headgate', COALESCE(TG_ARGV[0], 'version'));
	RETURN NULL;
END $nudge$;

CREATE TRIGGER headgate_nudge AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON headgate.run
	FOR EACH STATEMENT EXECUTE FUNCTION headgate.nudge('run');
CREATE TRIGGER headgate_nudge AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON headgate.pin
	FOR EACH STATEMENT EXECUTE FUNCTION headgate.nudge('pin');
CREATE TRIGGER headgate_nudge AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON headgate.head
	FOR EACH STATEMENT EXECUTE FUNCTION headgate.nudge('version');

-- Ends the run whose coordinator is gone, and returns its number, or NULL. The caller holds the advisory lock, by which it knows that nobody
-- conducts: a coordinator that has just taken the lock calls it before it announces; renew() calls it below. A run that only drained, or whose step is
-- rolled back with its connection, is abandoned: the gates reopen at what is recorded. Otherwise something outside a transaction (an external command)
-- was cut short: failed and unresolved.
CREATE FUNCTION headgate.reap() RETURNS bigint
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $reap$
	UPDATE headgate.run SET
		state = 'ended', ended_at = clock_timestamp(),
		outcome = CASE WHEN state = 'running' AND NOT transactional THEN 'failed' ELSE 'abandoned' END,
		unresolved = (state = 'running' AND NOT transactional),
		error = COALESCE(error, 'its coordinator was lost while it was ' || state)
	WHERE state <> 'ended'
	RETURNING run_id
$reap$;

-- A proxy's renewal, in one round trip: says that it is here, acknowledges a run, and returns one row: the active run (run_id NULL: none), the oldest
-- unresolved one, and the pins, one a line, as "head milliseconds-left" (-1: no end).
--
-- THE RULE THAT KEEPS PROMISE 2: a renewal and the announcement of a run must happen one after the other. announce() takes SHARE ROW EXCLUSIVE
-- on headgate.proxy before it inserts the run, which waits for every renewal under way and makes every later one wait. So renew() must WRITE
-- headgate.proxy before it READS headgate.run, and must read with a snapshot taken after that wait: in READ COMMITTED a volatile function takes a
-- new one for each statement. Then either the coordinator sees this renewal's seen_at and waits for its lease, or this renewal sees the run. Do not
-- change the order, and do not merge the two statements.
CREATE FUNCTION headgate.renew(
	p_proxy_id uuid, p_name text, p_version text, p_lease_ms int, p_acked_run bigint, p_pids int[],
	OUT run_id bigint, OUT run_state text, OUT holding boolean, OUT who text, OUT reason text, OUT from_heads text, OUT target text,
	OUT unresolved_run bigint, OUT unresolved_text text, OUT pins text)
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
END $renew$;

-- A proxy leaves: it has no session of this database any more.
CREATE FUNCTION headgate.leave(p_proxy_id uuid) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $leave$
	DELETE FROM headgate.proxy WHERE proxy_id = p_proxy_id
$leave$;

-- Announces a run: its number. The caller's session holds the advisory lock. Set a lock_timeout and try again on 55P03: renewals queue behind this
-- lock, so it must not wait for long. See the rule at renew(); the lock comes first, in READ COMMITTED, and lasts until the commit.
CREATE FUNCTION headgate.announce(
	p_kind text, p_holding boolean, p_attempt int, p_who text, p_os_user text, p_host text, p_reason text, p_command text[],
	p_from_heads text[], p_from_state text, p_target text[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $announce$
DECLARE
	id bigint;
BEGIN
	IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
		RAISE EXCEPTION 'headgate.announce() must run in READ COMMITTED' USING ERRCODE = '25001';
	END IF;
	PERFORM 1 FROM pg_locks l
		WHERE l.locktype = 'advisory' AND l.pid = pg_backend_pid() AND l.granted AND l.objsubid = 1
		AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
		AND (l.classid::bigint << 32 | l.objid::bigint) = 7522525836451345509;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'headgate.announce() needs the advisory lock' USING ERRCODE = '55000';
	END IF;
	LOCK TABLE headgate.proxy IN SHARE ROW EXCLUSIVE MODE;
	INSERT INTO headgate.run (kind, holding, attempt, who, os_user, host, reason, command, from_heads, from_state, target)
		VALUES (p_kind, p_holding, COALESCE(p_attempt, 1), p_who, p_os_user, p_host, p_reason, p_command, COALESCE(p_from_heads, '{}'),
			p_from_state, p_target)
		RETURNING run_id INTO id;
	RETURN id;
END $announce$;

-- An operator says what was done about a run that was left half way. True when there was one.
CREATE FUNCTION headgate.resolve(p_run_id bigint, p_who text, p_note text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $resolve$
BEGIN
	UPDATE headgate.run SET unresolved = false, resolved_at = clock_timestamp(), resolved_by = p_who, resolved_note = p_note
		WHERE run_id = p_run_id AND unresolved;
	RETURN FOUND;
END $resolve$;

REVOKE ALL ON FUNCTION headgate.reap() FROM PUBLIC;
REVOKE ALL ON FUNCTION headgate.renew(uuid, text, text, int, bigint, int[]) FROM PUBLIC;
REVOKE ALL ON FUNCTION headgate.leave(uuid) FROM PUBLIC;
REVOKE ALL ON FUNCTION headgate.announce(text, boolean, int, text, text, text, text, text[], text[], text, text[]) FROM PUBLIC;
REVOKE ALL ON FUNCTION headgate.resolve(bigint, text, text) FROM PUBLIC;

-- migrate:down
DROP SCHEMA headgate CASCADE;
