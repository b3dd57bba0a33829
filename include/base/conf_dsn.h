/* libpq connection strings, as far as hiding their secrets needs: for what is printed. */
#ifndef BASE_CONF_DSN_H
#define BASE_CONF_DSN_H

/* A copy with every password and key replaced by ***, in both forms: "host=a password=***" and
 * "postgresql://user:***@a/b?sslpassword=***". Where a text is malformed too much is hidden, never too
 * little. A text that is no connection string comes back as it is. */
char *conf_dsn_masked(const char *dsn);

#endif
