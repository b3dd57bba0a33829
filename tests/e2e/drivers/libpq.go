// lib/pq: what it sees, line by line. Reads libpq's environment.
package main

import (
	"database/sql"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/lib/pq"
)

func must(err error) {
	if told, ok := err.(*pq.Error); ok {
		fmt.Println("failed", told.Code)
	}
	if err != nil {
		fmt.Println("failed", err)
		os.Exit(1)
	}
}

func main() {
	mode := os.Getenv("PGSSLMODE")
	if mode != "disable" {
		mode = "verify-ca"
	}
	dsn := fmt.Sprintf("sslmode=%s options='%s' application_name=go", mode, os.Getenv("PGOPTIONS"))
	os.Unsetenv("PGOPTIONS")
	os.Unsetenv("PGGSSENCMODE")
	os.Unsetenv("PGSSLMODE")
	db, err := sql.Open("postgres", dsn)
	must(err)
	defer db.Close()
	var user string
	must(db.QueryRow("SELECT session_user::text").Scan(&user))
	fmt.Println(user)
	if len(os.Args) > 1 && os.Args[1] == "login" {
		return
	}
	db.SetMaxOpenConns(1)
	var n int
	var s string
	for i := 0; i < 5; i++ {
		must(db.QueryRow("SELECT $1::int + 1, $2::text", i, "ünï").Scan(&n, &s))
		fmt.Println(n, s)
	}
	_, err = db.Exec("CREATE TEMP TABLE t (a int, b text)")
	must(err)
	tx, err := db.Begin()
	must(err)
	copy, err := tx.Prepare(pq.CopyIn("t", "a", "b"))
	must(err)
	for i := 0; i < 20000; i++ {
		_, err = copy.Exec(i, "copied")
		must(err)
	}
	_, err = copy.Exec()
	must(err)
	must(copy.Close())
	must(tx.Commit())
	must(db.QueryRow("SELECT count(*) FROM t").Scan(&n))
	fmt.Println("copied", n)
	for _, bad := range []string{"SELECT 1/0", "SELEC", "SELECT * FROM nowhere"} {
		_, err = db.Exec(bad)
		fmt.Println(bad, err.(*pq.Error).Code)
		_, err = db.Exec(bad+" WHERE $1", 1)
		fmt.Println(bad, err.(*pq.Error).Code)
	}
	must(db.QueryRow("SELECT repeat('y', 2000000)").Scan(&s))
	fmt.Println(len(s), s == strings.Repeat("y", 2000000))
	listener := pq.NewListener(dsn, time.Second, time.Minute, nil)
	must(listener.Listen("c"))
	_, err = db.Exec("NOTIFY c, 'payload'")
	must(err)
	fmt.Println("heard", (<-listener.Notify).Extra)
	must(listener.Close())
	db.SetMaxOpenConns(6)
	var wait sync.WaitGroup
	sum := make([]int, 100)
	for i := range sum {
		wait.Add(1)
		go func(i int) {
			defer wait.Done()
			must(db.QueryRow("SELECT $1::int", i).Scan(&sum[i]))
		}(i)
	}
	wait.Wait()
	total := 0
	for _, v := range sum {
		total += v
	}
	fmt.Println("pool", total)
}
