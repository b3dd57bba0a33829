/* The roof: everything else is below. */
#include "ctl/cli.h"

int main(int argc, char **argv)
{
	return cli_main(argc, argv);
}
