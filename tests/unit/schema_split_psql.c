/* The splitter against psql: a psql is given files and a server that only writes down what it is sent; the
 * statements must be the splitter's. The files: hard texts, and some hundred made of random pieces. Given
 * files as arguments, compares those instead (PostgreSQL's regression tests, dumps; without meta-commands).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/mem.h"
#include "schema/split.h"
#include "schema/split_private.h"
#include "schema_split_texts.h"

#define RANDOM_FILES 400

struct sent { /* one query of psql's, and the data it sent after it */
	char *text, *data;
	size_t data_size;
};

static struct {
	char dir[64], bin[256];
	unsigned version;
	char **files; /* names */
	char **texts;
	unsigned count, must_split; /* the first so many files split */
	struct sent *sent;
	unsigned sent_count;
	pid_t psql;
} world;

static bool find_psql(void)
{
	glob_t found = {0};
	bool there = glob("/usr/lib/postgresql/*/bin/psql", 0, NULL, &found) == 0;
	if (there)
		snprintf(world.bin, sizeof(world.bin), "%s", found.gl_pathv[found.gl_pathc - 1]);
	globfree(&found);
	return there && sscanf(world.bin, "/usr/lib/postgresql/%u", &world.version) == 1;
}

static void add_text(char *text)
{
	world.texts = mem_realloc(world.texts, (world.count + 1) * sizeof(char *));
	world.texts[world.count++] = text;
}

/* The same soups on every run. (psql stops reading after data that is followed by an empty statement: there
 * is none of that.) */
static uint32_t soup_next(uint32_t *seed)
{
	*seed = *seed * UINT32_C(1664525) + UINT32_C(1013904223);
	return *seed >> 8;
}

static char *soup(uint32_t seed)
{
	static const char *const pieces[] = {"SELECT", "1", ";", ";", ";\n", "(", ")", "()", "'a;b'",
	    "'it''s;'", "E'a\\';b' ", "e'\\\\' ", "$$;'$$", "$t$;$$;$t$", "$a", "$", "$1", "-- c;'\n", "--",
	    "/* ; */", "/* a /* b; */ ; */", "/*", "*/", "/", "*", "-", "<", "\n", "\n\n", "\r\n", "\t", " ",
	    " ", " ", "begin", "END", "case", "create", "CREATE FUNCTION f()", "create or replace procedure ",
	    "function", "or", "replace", "procedure", "atomic", "\"q;\"\"\"", "U&'d;' ", "u&\"d;\"", "n'x;'",
	    "b'1;'", "x'f;'", "1e", "1.5e10", "1..2", ".5", "a$b$", "\xc3\xa9", "'", "\"", "+", ",",
	    "::", "[1]", ";\nCOPY t FROM stdin;\n1\t;\n\\N'\n\\.\nSELECT 7 ",
	    ";\ncopy t (a) from STDIN with csv; -- x\n\\.\nSELECT 7 "};
	char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);
	unsigned n = 3 + soup_next(&seed) % 40;
	for (unsigned i = 0; i < n; i++)
		fputs(pieces[soup_next(&seed) % (sizeof(pieces) / sizeof(pieces[0]))], to);
	fclose(to);
	return text;
}

static void write_files(void)
{
	world.files = mem_zalloc(world.count * sizeof(char *));
	for (unsigned i = 0; i < world.count; i++) {
		world.files[i] = mem_printf("%s/%u.sql", world.dir, i);
		FILE *to = fopen(world.files[i], "w");
		assert_non_null(to);
		fputs(world.texts[i], to);
		assert_int_equal(fclose(to), 0);
	}
}

static int open_socket(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/.s.PGSQL.5432", world.dir);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

/* psql runs -c 'mark' and -f FILE in turn: the marks say where a file begins. */
static void start_psql(void)
{
	char **argv = mem_zalloc((world.count * 4 + 16) * sizeof(char *));
	const char *const head[] = {"psql", "-X", "-q", "-h", world.dir, "-p", "5432", "-U", "u", "-d",
	    "sslmode=disable gssencmode=disable dbname=d", "-o", "/dev/null"};
	unsigned n = 0;
	for (; n < sizeof(head) / sizeof(head[0]); n++)
		argv[n] = (char *)(uintptr_t)head[n];
	for (unsigned i = 0; i < world.count; i++) {
		argv[n++] = (char *)(uintptr_t) "-c";
		argv[n++] = (char *)(uintptr_t) "mark";
		argv[n++] = (char *)(uintptr_t) "-f";
		argv[n++] = world.files[i];
	}
	world.psql = fork();
	if (world.psql == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (freopen("/dev/null", "r", stdin) == NULL || freopen("/dev/null", "w", stderr) == NULL)
			_exit(96);
		execv(world.bin, argv);
		_exit(95);
	}
	mem_free(&argv);
}

static bool get(FILE *in, void *to, size_t n)
{
	return fread(to, 1, n, in) == n;
}

static void put(FILE *out, char type, const void *body, size_t n)
{
	uint32_t length = htonl((uint32_t)n + 4);
	fputc(type, out);
	fwrite(&length, 1, 4, out);
	fwrite(body, 1, n, out);
}

static bool copies_in(const char *query)
{
	struct split_lexer lexer = {.text = query, .size = strlen(query)};
	struct split_token token = split_next(&lexer);
	return split_word_is(&lexer, &token, "copy") && strcasestr(query, "from stdin") != NULL;
}

/* What psql sends as one query and we do not send at all: nothing but comments. */
static bool is_empty(const char *query)
{
	struct split_lexer lexer = {.text = query, .size = strlen(query)};
	struct split_token token;
	do
		token = split_next(&lexer);
	while (token.kind == SPLIT_TOKEN_SEMICOLON);
	return token.kind == SPLIT_TOKEN_END;
}

static void write_down(char *query)
{
	world.sent = mem_realloc(world.sent, (world.sent_count + 1) * sizeof(struct sent));
	world.sent[world.sent_count++] = (struct sent){.text = query, .data = mem_zalloc(1)};
}

/* A server as far as psql needs one. */
static void serve(int listener)
{
	int fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	FILE *in = fdopen(fd, "r"), *out = fdopen(dup(fd), "w");
	uint32_t length;
	char type, *body;

	assert_true(get(in, &length, 4));
	body = mem_alloc(ntohl(length));
	assert_true(get(in, body, ntohl(length) - 4));
	mem_free(&body);
	put(out, 'R', "\0\0\0\0", 4);
	put(out, 'S',
	    "server_version\0"
	    "15.0",
	    20);
	put(out, 'S', "client_encoding\0UTF8", 21);
	put(out, 'S', "standard_conforming_strings\0on", 31);
	put(out, 'Z', "I", 1);
	fflush(out);
	while (get(in, &type, 1)) {
		assert_true(get(in, &length, 4));
		size_t n = ntohl(length) - 4;
		body = mem_zalloc(n + 1);
		assert_true(get(in, body, n));
		if (type == 'Q') {
			write_down(body);
			if (is_empty(body)) {
				put(out, 'I', "", 0);
				put(out, 'Z', "I", 1);
				fflush(out);
				continue;
			}
			if (copies_in(body)) {
				put(out, 'G', "\0\0\0", 3);
				fflush(out);
				continue;
			}
		} else if (type == 'd') {
			struct sent *last = &world.sent[world.sent_count - 1];
			last->data = mem_realloc(last->data, last->data_size + n + 1);
			memcpy(last->data + last->data_size, body, n);
			last->data_size += n;
			last->data[last->data_size] = '\0';
			mem_free(&body);
			continue;
		} else {
			mem_free(&body);
			if (type == 'X')
				break;
		}
		put(out, 'C', "OK", 3);
		put(out, 'Z', "I", 1);
		fflush(out);
	}
	fclose(in);
	fclose(out);
	close(listener);
}

static void compare(unsigned file, const struct sent *sent, unsigned count, unsigned *compared)
{
	struct split split = {.count = 0};
	struct split_error error;
	const char *text = world.texts[file];
	size_t bom = split_bom(text, strlen(text)), size;
	if (!split_append(&split, text + bom, strlen(text) - bom, 1, &error)) {
		if (file < world.must_split)
			fail_msg("%s: line %u: %s", world.files[file], error.line, error.text);
		split_free(&split);
		return; /* psql sends what is unterminated: ours to refuse */
	}
	unsigned at = 0;
	for (unsigned i = 0; i < count; i++) {
		if (is_empty(sent[i].text))
			continue;
		if (at == split.count)
			fail_msg("psql sends more: <%s>\nof <%s>", sent[i].text, text);
		char *one = mem_printf("%.*s", (int)split.at[at].size, split.at[at].text);
		char *ours = split_meaning(one, strlen(one), &size),
		     *psqls = split_meaning(sent[i].text, strlen(sent[i].text), &size);
		/* Before version 15 psql leaves comments out, also where a string goes on after one. */
		if (strcmp(ours, psqls) != 0 && (world.version >= 15 || strstr(one, "--") == NULL))
			fail_msg("ours <%s> psql's <%s>\nof <%s>", one, sent[i].text, text);
		/* Before version 18 psql sends the line \. as data too. */
		size_t n = sent[i].data_size;
		if (n >= 3 && memcmp(sent[i].data + n - 3, "\\.\n", 3) == 0)
			n -= 3;
		else if (n >= 4 && memcmp(sent[i].data + n - 4, "\\.\r\n", 4) == 0)
			n -= 4;
		if (split.at[at].data_size != n || (n > 0 && memcmp(split.at[at].data, sent[i].data, n) != 0))
			fail_msg("data <%s>\nof <%s>", sent[i].data, text);
		mem_free(&one);
		mem_free(&ours);
		mem_free(&psqls);
		at++;
	}
	if (at != split.count)
		fail_msg("psql sends less than %u: %u\nof <%s>", split.count, at, text);
	*compared += at;
	split_free(&split);
}

static void psql_sends_the_same_statements(void **state)
{
	(void)state;
	if (!find_psql()) {
		print_message("SKIPPED: no psql\n");
		skip();
	}
	snprintf(world.dir, sizeof(world.dir), "/tmp/headgate-psql-XXXXXX");
	assert_non_null(mkdtemp(world.dir));
	if (world.count == 0) {
		for (unsigned i = 0; i < split_text_count; i++)
			add_text(mem_strdup(split_texts[i]));
		world.must_split = split_text_count;
		for (uint32_t i = 0; i < RANDOM_FILES; i++)
			add_text(soup(i));
	}
	write_files();
	int listener = open_socket();
	start_psql();
	alarm(100);
	serve(listener);
	int status = -1;
	assert_int_equal(waitpid(world.psql, &status, 0), world.psql);

	unsigned file = 0, from = 1, compared = 0;
	assert_true(world.sent_count > 0);
	assert_string_equal(world.sent[0].text, "mark");
	for (unsigned i = 1; i <= world.sent_count; i++) {
		if (i < world.sent_count && strcmp(world.sent[i].text, "mark") != 0)
			continue;
		compare(file++, world.sent + from, i - from, &compared);
		from = i + 1;
	}
	assert_int_equal(file, world.count);
	print_message("%u statements of %u files are psql's too\n", compared, world.count);
	assert_true(compared >= world.count / 2);
}

static int clean_up(void **state)
{
	(void)state;
	for (unsigned i = 0; i < world.count; i++) {
		unlink(world.files[i]);
		mem_free(&world.files[i]);
		free(world.texts[i]);
	}
	for (unsigned i = 0; i < world.sent_count; i++) {
		mem_free(&world.sent[i].text);
		mem_free(&world.sent[i].data);
	}
	char *path = mem_printf("%s/.s.PGSQL.5432", world.dir);
	unlink(path);
	mem_free(&path);
	rmdir(world.dir);
	mem_free(&world.files);
	mem_free(&world.texts);
	mem_free(&world.sent);
	return 0;
}

static char *whole_file(const char *path)
{
	FILE *in = fopen(path, "r");
	if (in == NULL) {
		perror(path);
		exit(1);
	}
	char *text = NULL, buffer[65536];
	size_t size = 0, n;
	FILE *to = open_memstream(&text, &size);
	while ((n = fread(buffer, 1, sizeof(buffer), in)) > 0)
		fwrite(buffer, 1, n, to);
	fclose(to);
	fclose(in);
	return text;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_teardown(psql_sends_the_same_statements, clean_up),
	};
	for (int i = 1; i < argc; i++)
		add_text(whole_file(argv[i]));
	world.must_split = world.count;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
