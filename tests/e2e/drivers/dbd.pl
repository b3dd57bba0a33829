# DBD::Pg: what it sees, line by line. Reads libpq's environment.
use strict;
use warnings;
use DBI;
use DBD::Pg;
binmode STDOUT, ':utf8';
my $db = DBI->connect('dbi:Pg:', '', '', {RaiseError => 1, PrintError => 0, PrintWarn => 0, AutoCommit => 1});
print $db->selectrow_array('SELECT session_user::text'), "\n";
exit if @ARGV && $ARGV[0] eq 'login';
local $SIG{__WARN__} = sub { print 'told ', @_ };
print join('|', $db->selectrow_array('SELECT ?::int + 1, ?::text', undef, 41, "\x{fc}n\x{ef}")), "\n";
my $prepared = $db->prepare('SELECT ?::int * 2');
for my $i (0 .. 5) { $prepared->execute($i); print $prepared->fetchrow_array, "\n"; $prepared->finish; }
$db->do('CREATE TEMP TABLE t (a int, b text)');
my $insert = $db->prepare('INSERT INTO t VALUES (?, ?)');
$insert->execute($_, 'x' x $_) for 1 .. 200;
$db->do('COPY t FROM STDIN');
$db->pg_putcopydata("$_\tcopied\n") for 1000 .. 5000;
$db->pg_putcopyend;
$db->do('COPY (SELECT * FROM t ORDER BY a) TO STDOUT');
my ($row, $size) = ('', 0);
$size += length $row while $db->pg_getcopydata($row) >= 0;
print "copied out $size\n";
for my $bad ('SELECT 1/0', 'SELEC', 'SELECT * FROM nowhere') {
	eval { $db->do($bad) };
	print "$bad ", $db->state, "\n";
}
eval { $db->do('COPY t FROM STDIN'); $db->pg_putcopydata("nonsense\n") for 1 .. 1000; $db->pg_putcopyend; };
print 'copy ', $db->state, "\n";
$db->begin_work;
$db->do('INSERT INTO t VALUES (100000)');
$db->rollback;
print $db->selectrow_array('SELECT max(a) FROM t'), "\n";
$db->do(q{DO $$BEGIN RAISE WARNING 'hello'; END$$});
$db->do('LISTEN c');
$db->do(q{NOTIFY c, 'payload'});
my $heard = $db->pg_notifies;
print "heard $heard->[2]\n";
$db->do('SELECT pg_sleep(30)', {pg_async => DBD::Pg::PG_ASYNC()});
my $watcher = DBI->connect('dbi:Pg:', '', '', {RaiseError => 1});
my $running = "SELECT count(*) FROM pg_stat_activity WHERE pid = $db->{pg_pid} AND state = 'active'";
select undef, undef, undef, 0.01 until $watcher->selectrow_array($running);
$watcher->disconnect;
print 'cancelled ', ($db->pg_cancel ? 'yes' : 'no'), "\n";
print length($db->selectrow_array(q{SELECT repeat('y', 2000000)})), "\n";
$db->disconnect;
