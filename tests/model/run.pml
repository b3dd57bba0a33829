/* One run, as DESIGN ("A run, and why it is safe") describes it: proxies with leases, coordinators, the ledger, a network that delays.
 *
 * What is checked: no client statement executes at the server from the first migration statement to the release; at most one run at a time; a
 * coordinator that dies releases (as LTL, with FAIR). run.sh says which variants must hold and which must fail.
 *
 * A stall of anybody, a crash of a proxy, and a network that delivers late need no words here: a process may wait between any two of its steps,
 * for ever too; a proxy that starts again is another one.
 *
 * A run of migrations that lets traffic flow until its first step that needs the hold announces that by begin_hold(), which is announce() here:
 * the same lock, then what renewals read. What it does before that and after end_hold() is no migration statement in the sense of this model.
 *
 * Time is a count of leases that are over: renewal number g of a proxy gives a lease that runs until over[p] >= g, which happens at any moment
 * after it was sent. So "certainly run out" is seen[p] <= over[p] for the coordinator and lease[p] <= over[p] for the proxy: the coordinator reads the time
 * of the ledger's write, which is never before the sending.
 *
 * N proxies, each with one session; C coordinators; G renewals of each proxy that bring a new lease; RUNS announcements in all.
 * FENCE 2: step 5 as designed; 1: it only waits until no transaction is open; 0: no step 5.
 * LOCK 1: announce() waits for renewals under way; 0: it does not. WRITE_FIRST 0: renew() reads the run before it writes that it was here.
 * REAP 0: a proxy does not end the run of a coordinator that is gone. FAIR 1: no losses and no crash of a proxy, for liveness. */
#ifndef N
#define N 2
#endif
#ifndef C
#define C 1
#endif
#ifndef G
#define G 2
#endif
#ifndef G2
#define G2 G
#endif
#ifndef RUNS
#define RUNS 2
#endif
#ifndef FENCE
#define FENCE 2
#endif
#ifndef LOCK
#define LOCK 1
#endif
#ifndef WRITE_FIRST
#define WRITE_FIRST 1
#endif
#ifndef REAP
#define REAP 1
#endif
#ifndef FAIR
#define FAIR 0
#endif

mtype = { none, draining, running };

/* The ledger. lock: 0 free, 1 + c a coordinator's, 9 a renewal's that looks whether anybody conducts. */
mtype state = none;
byte run_no, lock;
bool unresolved;
byte seen[N], acked[N];
bool acked_pid[N];         /* the acknowledgement names the backend that there is */
byte renewing;             /* renewals that have written and not committed: they keep announce() out */

/* Time. */
byte sent[N], over[N];

/* Proxies: what they were last told. */
#define SHUT 200
byte lease[N], hold[N];

/* A session and its backend, which is one thing but for the delay of the network: no backend; idle; a statement on its way; a transaction open. */
#define ABSENT 0
#define IDLE   1
#define FLIGHT 2
#define OPEN   3
byte session[N];

bool migrating;            /* the migration may be under way: stays so when its coordinator dies, until somebody resolves it */
byte conducting;
bool died;                 /* a coordinator died while it drained */

#define ready(p)    (acked[p] == run_no || seen[p] <= over[p])
#define stranger(p) (session[p] != ABSENT && !(acked[p] == run_no && acked_pid[p]))
#if N == 1
#define all_ready    ready(0)
#define any_stranger stranger(0)
#define any_open     (session[0] == OPEN)
#else
#define all_ready    (ready(0) && ready(1))
#define any_stranger (stranger(0) || stranger(1))
#define any_open     (session[0] == OPEN || session[1] == OPEN)
#endif

inline end_orphan()
{
	if
	:: state == draining -> state = none
	:: state == running -> state = none; unresolved = true
	:: else
	fi
}

inline read_run()
{
	d_step {
		if
		:: REAP && state != none && lock == 0 -> end_orphan(); lock = 9
		:: else
		fi;
		told = (unresolved -> SHUT : (state != none -> run_no : 0))
	}
}

/* The control link of a proxy: one renewal after the other. */
proctype link(byte p; byte most)
{
	byte g, ack, told;
	bool named;
	do
	::	d_step {
			if
			:: sent[p] < most -> sent[p]++
			:: else
			fi;
			g = sent[p];
			ack = (session[p] < FLIGHT && hold[p] != SHUT -> hold[p] : 0);
			named = (ack != 0 && session[p] == IDLE)
		}
#if WRITE_FIRST
		renewing++;
		read_run();
#else
		read_run();
		renewing++;
#endif
		/* The commit: what was written shows from now on. */
		d_step {
			renewing--;
			seen[p] = g;
			acked[p] = ack;
			acked_pid[p] = named;
			if
			:: lock == 9 -> lock = 0
			:: else
			fi;
			ack = 0;
			named = false
		}
		if
		:: d_step { lease[p] = g; hold[p] = told; g = 0; told = 0 }
#if !FAIR
		:: d_step { g = 0; told = 0 } /* the answer is lost */
#endif
		fi
	od
}

/* A client's session in a proxy, and its backend at the server. */
proctype client(byte p)
{
	do
	:: session[p] == ABSENT -> session[p] = IDLE
	/* The gate's question, at a transaction's start. */
	:: atomic { session[p] == IDLE && lease[p] > over[p] && hold[p] == 0 -> session[p] = FLIGHT }
	/* The server: a statement arrives; the transaction, of one or more of them, ends. */
	:: atomic { session[p] == FLIGHT -> session[p] = OPEN; assert(!migrating) }
	:: atomic { session[p] == OPEN -> session[p] = IDLE }
	od
}

proctype clock()
{
	do
	:: atomic { over[0] < sent[0] -> over[0]++ }
#if N > 1
	:: atomic { over[1] < sent[1] -> over[1]++ }
#endif
	od
}

/* Dies, or is cut off: its next word to the ledger fails, and the server lets go of its lock when it notices. */
#define MAY_DIE if :: skip :: goto dead fi

proctype coordinator(byte c)
{
	byte p;
again:
	atomic { lock == 0 -> lock = 1 + c };
	MAY_DIE;
	d_step { end_orphan() };
	if
	:: unresolved || run_no == RUNS -> lock = 0; goto finished
	:: else
	fi;
	atomic {
#if LOCK
		renewing == 0 ->
#endif
		assert(state == none);
		run_no++;
		state = draining;
		conducting++;
		assert(conducting == 1)
	};
	if
	:: all_ready
	:: goto give_up
	:: goto dead
	fi;
#if FENCE == 2
	do
	:: d_step { any_stranger ->
		p = 0;
		do
		:: p < N ->
			if
			:: stranger(p) -> session[p] = ABSENT
			:: else
			fi;
			p++
		:: else -> break
		od;
		p = 0 }
	:: atomic { !any_stranger && !any_open -> break }
	:: goto give_up
	:: goto dead
	od;
#elif FENCE == 1
	!any_open;
#endif
	state = running;
	MAY_DIE;
	atomic { migrating = true; assert(!any_open) };
	MAY_DIE;
	migrating = false;
give_up:
	atomic { state = none; conducting-- };
	lock = 0;
	goto again;
dead:
	atomic {
		if
		:: state == draining && conducting > 0 -> died = true
		:: else
		fi;
		if
		:: state != none && conducting > 0 -> conducting--
		:: else
		fi
	};
	lock = 0;
finished:
	skip
}

init
{
	atomic {
		run clock();
		run link(0, G);
		run client(0);
#if N > 1
		run link(1, G2);
		run client(1);
#endif
		run coordinator(0);
#if C > 1
		run coordinator(1)
#endif
	}
}

#if FAIR
ltl released { [] (died -> <> (state != draining && hold[0] == 0)) }
#endif
