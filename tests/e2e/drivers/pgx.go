// pgx: what it sees, line by line. Reads libpq's environment. This is version 4; for 5 the test changes the few words that differ.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgconn"
	"github.com/jackc/pgx/v4"
	"github.com/jackc/pgx/v4/pgxpool"
)

var all = context.Background()

func code(err error) string {
	var told *pgconn.PgError
	if errors.As(err, &told) {
		return told.Code
	}
	return fmt.Sprint(err)
}

func must(err error) {
	if err != nil {
		fmt.Println("failed", code(err), err)
		os.Exit(1)
	}
}

// The head is declared by `options` here, and by a runtime parameter of its own in the pool.
func settings() *pgx.ConnConfig {
	config, err := pgx.ParseConfig("application_name=pgx")
	must(err)
	config.RuntimeParams["options"] = os.Getenv("PGOPTIONS")
	return config
}

func pool() *pgxpool.Pool {
	head := strings.TrimPrefix(os.Getenv("PGOPTIONS"), "-c headgate.head=")
	os.Unsetenv("PGOPTIONS")
	pool, err := pgxpool.Connect(all, "application_name=pool pool_max_conns=6 headgate.head="+head)
	must(err)
	return pool
}

func ask(pool *pgxpool.Pool, questions int) {
	var wait sync.WaitGroup
	answers := make([]int, questions)
	for i := range answers {
		wait.Add(1)
		go func(i int) {
			defer wait.Done()
			must(pool.QueryRow(all, "SELECT $1::int", i).Scan(&answers[i]))
		}(i)
	}
	wait.Wait()
	total := 0
	for _, n := range answers {
		total += n
	}
	fmt.Println("pool", total)
}

// Does something while pg_sleep() is seen at work.
func meanwhile(conn *pgx.Conn, ctx context.Context, watcher *pgx.Conn, act func()) error {
	var pid, active int
	must(conn.QueryRow(all, "SELECT pg_backend_pid()").Scan(&pid))
	ended := make(chan error, 1)
	go func() {
		_, err := conn.Exec(ctx, "SELECT pg_sleep(30)")
		ended <- err
	}()
	look := "SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND state = 'active' AND query LIKE '%pg_sleep(30)%'"
	for active == 0 {
		must(watcher.QueryRow(all, look, pid).Scan(&active))
	}
	act()
	err := <-ended
	for active == 1 { // the server has let go of it, long before its time
		must(watcher.QueryRow(all, look, pid).Scan(&active))
	}
	return err
}

// Connected before a hold, asked for more while it lasts: by a statement, a prepared one, and a pool.
func live(conn *pgx.Conn) {
	_, err := conn.Prepare(all, "p", "SELECT $1::int * 2")
	must(err)
	pool := pool()
	defer pool.Close()
	ask(pool, 1)
	fmt.Println("ready")
	bufio.NewReader(os.Stdin).ReadString('\n')
	var n int
	tx, err := conn.Begin(all)
	must(err)
	must(tx.QueryRow(all, "p", 21).Scan(&n))
	must(tx.Commit(all))
	fmt.Println("held", n)
	ask(pool, 50)
}

func main() {
	config := settings()
	config.OnNotice = func(_ *pgconn.PgConn, notice *pgconn.Notice) { fmt.Println("notice", notice.Message) }
	conn, err := pgx.ConnectConfig(all, config)
	must(err)
	defer conn.Close(all)
	var user string
	must(conn.QueryRow(all, "SELECT session_user::text").Scan(&user))
	fmt.Println(user)
	if len(os.Args) > 1 {
		if os.Args[1] == "live" {
			live(conn)
		}
		return
	}
	var n int
	var s string
	for i := 0; i < 5; i++ { // the same statement: prepared by itself
		must(conn.QueryRow(all, "SELECT $1::int + 1, $2::text", i, "ünï").Scan(&n, &s))
		fmt.Println(n, s)
	}
	_, err = conn.Prepare(all, "named", "SELECT $1::int * 2")
	must(err)
	for i := 0; i < 3; i++ {
		must(conn.QueryRow(all, "named", i).Scan(&n))
		fmt.Println("prepared", n)
	}
	must(conn.QueryRow(all, "SELECT $1::int + 1", pgx.QuerySimpleProtocol(true), 41).Scan(&n))
	fmt.Println("simple", n)
	several, err := conn.PgConn().Exec(all, "SELECT 1; SELECT 2; SELECT 3").ReadAll()
	must(err)
	fmt.Println("statements", len(several))
	for _, bad := range []string{"SELECT 1/0", "SELEC", "SELECT * FROM nowhere"} {
		_, err = conn.Exec(all, bad)
		fmt.Println(bad, code(err))
		_, err = conn.Exec(all, bad+" WHERE $1", true)
		fmt.Println(bad, code(err))
	}
	_, err = conn.Exec(all, "CREATE TEMP TABLE t (a int, b text)")
	must(err)
	tx, err := conn.Begin(all)
	must(err)
	_, err = tx.Exec(all, "INSERT INTO t VALUES (1, 'kept')")
	must(err)
	save, err := tx.Begin(all)
	must(err)
	_, err = save.Exec(all, "SELECT 1/0")
	fmt.Println("in a savepoint", code(err))
	must(save.Rollback(all))
	must(tx.Commit(all))
	tx, err = conn.Begin(all)
	must(err)
	_, err = tx.Exec(all, "INSERT INTO t VALUES (1000, 'lost')")
	must(err)
	must(tx.Rollback(all))
	must(conn.QueryRow(all, "SELECT max(a) FROM t").Scan(&n))
	fmt.Println("greatest", n)
	batch := &pgx.Batch{}
	for i := 0; i < 300; i++ {
		batch.Queue("INSERT INTO t VALUES ($1, $2)", i, strings.Repeat("x", i))
	}
	batch.Queue("SELECT count(*) FROM t")
	batch.Queue("SELECT 1/(a - a) FROM t")
	batch.Queue("SELECT 'never'")
	results := conn.SendBatch(all, batch)
	for i := 0; i < 300; i++ {
		_, err = results.Exec()
		must(err)
	}
	must(results.QueryRow().Scan(&n))
	fmt.Println("batch", n)
	_, err = results.Exec()
	fmt.Println("batch", code(err))
	fmt.Println("batch", results.Close() != nil)
	copied, err := conn.CopyFrom(all, pgx.Identifier{"t"}, []string{"a", "b"}, pgx.CopyFromSlice(20000, func(i int) ([]interface{}, error) {
		return []interface{}{i, "copied"}, nil
	}))
	must(err)
	fmt.Println("copied in", copied)
	var out bytes.Buffer
	tag, err := conn.PgConn().CopyTo(all, &out, "COPY (SELECT * FROM t ORDER BY a, b) TO STDOUT")
	must(err)
	fmt.Println("copied out", tag.RowsAffected(), out.Len())
	_, err = conn.PgConn().CopyFrom(all, strings.NewReader(strings.Repeat("nonsense\n", 50000)), "COPY t FROM STDIN")
	fmt.Println("copy", code(err))
	_, err = conn.CopyFrom(all, pgx.Identifier{"t"}, []string{"a"}, pgx.CopyFromSlice(10, func(i int) ([]interface{}, error) {
		return nil, errors.New("the client changes its mind")
	}))
	fmt.Println("copy", err != nil)
	rows, err := conn.Query(all, "SELECT generate_series(1, 1000)")
	must(err)
	rows.Next()
	rows.Close() // the rest of the answer is read and thrown away
	_, err = conn.Exec(all, "DO $$BEGIN RAISE NOTICE 'told'; END$$")
	must(err)
	_, err = conn.Exec(all, "LISTEN c")
	must(err)
	_, err = conn.Exec(all, "NOTIFY c, 'payload'")
	must(err)
	heard, err := conn.WaitForNotification(all)
	must(err)
	fmt.Println("heard", heard.Payload)
	must(conn.QueryRow(all, "SELECT repeat('y', 2000000)").Scan(&s))
	fmt.Println(len(s), s == strings.Repeat("y", 2000000))

	watcher, err := pgx.ConnectConfig(all, settings())
	must(err)
	defer watcher.Close(all)
	err = meanwhile(conn, all, watcher, func() { must(conn.PgConn().CancelRequest(all)) })
	fmt.Println("cancelled", code(err))
	must(conn.QueryRow(all, "SELECT 'alive'").Scan(&s))
	fmt.Println(s)
	ctx, cancel := context.WithCancel(all)
	err = meanwhile(conn, ctx, watcher, cancel)
	fmt.Println("by its context", errors.Is(err, context.Canceled), conn.IsClosed())
	ctx, cancel = context.WithTimeout(all, 200*time.Millisecond)
	defer cancel()
	_, err = watcher.Exec(ctx, "SELECT pg_sleep(30)")
	fmt.Println("by its deadline", errors.Is(err, context.DeadlineExceeded), watcher.IsClosed())

	pool := pool()
	defer pool.Close()
	ask(pool, 100)
}
