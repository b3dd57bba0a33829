/* What is wrong with a catalog of migrations: text lines that name files and lines, ready to print. */
#ifndef SCHEMA_CATALOG_DEFECTS_H
#define SCHEMA_CATALOG_DEFECTS_H

#define CATALOG_DEFECTS 20

struct catalog_defects {
	unsigned count;               /* of all defects */
	char *lines[CATALOG_DEFECTS]; /* the first of them: "0003_x.sql:12: ..."; one line each */
};

/* file NULL: the line begins with the text; line 0: it names the file alone. */
void catalog_defect(struct catalog_defects *defects, const char *file, unsigned line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void catalog_defects_free(struct catalog_defects *defects); /* leaves none */

#endif
