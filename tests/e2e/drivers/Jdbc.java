// pgJDBC: what it sees, line by line. Run as a single source file.
import java.io.StringReader;
import java.io.StringWriter;
import java.sql.*;
import java.util.Properties;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyManager;

public class Jdbc {
	static void say(Object... words) {
		StringBuilder line = new StringBuilder();
		for (Object word : words)
			line.append(word).append(' ');
		System.out.println(line.toString().trim());
	}

	static Connection connect() throws SQLException {
		Properties p = new Properties();
		p.put("user", System.getenv("PGUSER"));
		if (System.getenv("PGPASSWORD") != null)
			p.put("password", System.getenv("PGPASSWORD"));
		p.put("options", System.getenv("PGOPTIONS"));
		p.put("sslmode", System.getenv("PGSSLMODE").equals("disable") ? "disable" : "verify-ca");
		p.put("sslrootcert", System.getenv("PGSSLROOTCERT"));
		if (System.getenv("PGSSLCERT") != null) {
			p.put("sslcert", System.getenv("PGSSLCERT"));
			p.put("sslkey", System.getenv("PGSSLKEY").replace(".key", ".pk8")); // PKCS #8 in DER
		}
		p.put("gssEncMode", "disable");
		p.put("ApplicationName", "jdbc");
		p.put("connectTimeout", "20");
		return DriverManager.getConnection("jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/"
				+ System.getenv("PGDATABASE"), p);
	}

	public static void main(String[] arguments) throws Exception {
		try (Connection c = connect()) {
			try (ResultSet r = c.createStatement().executeQuery("SELECT session_user::text")) {
				r.next();
				say(r.getString(1));
			}
			if (arguments.length > 0 && arguments[0].equals("login"))
				return;
			try (PreparedStatement s = c.prepareStatement("SELECT ?::int + 1, ?::text")) {
				for (int i = 0; i < 8; i++) { // the server-side statement begins at the fifth
					s.setInt(1, i);
					s.setString(2, "ünï" + i);
					try (ResultSet r = s.executeQuery()) {
						r.next();
						say(r.getInt(1), r.getString(2));
					}
				}
			}
			c.createStatement().execute("CREATE TEMP TABLE t (a int, b text)");
			try (PreparedStatement s = c.prepareStatement("INSERT INTO t VALUES (?, ?)")) {
				for (int i = 0; i < 1000; i++) {
					s.setInt(1, i);
					s.setString(2, "x".repeat(i));
					s.addBatch();
				}
				int sum = 0;
				for (int n : s.executeBatch())
					sum += n;
				say("batch", sum);
			}
			CopyManager copy = c.unwrap(PGConnection.class).getCopyAPI();
			StringBuilder rows = new StringBuilder();
			for (int i = 0; i < 20000; i++)
				rows.append(i).append("\tcopied\n");
			say("copied in", copy.copyIn("COPY t FROM STDIN", new StringReader(rows.toString())));
			StringWriter out = new StringWriter();
			say("copied out", copy.copyOut("COPY (SELECT * FROM t ORDER BY a, b) TO STDOUT", out), out.toString().length());
			try {
				copy.copyIn("COPY t FROM STDIN", new StringReader("nonsense\n".repeat(50000)));
			} catch (SQLException e) {
				say("copy", e.getSQLState());
			}
			for (String bad : new String[] {"SELECT 1/0", "SELEC", "SELECT * FROM nowhere"}) {
				try {
					c.createStatement().execute(bad);
				} catch (SQLException e) {
					say(bad, e.getSQLState());
				}
			}
			c.setAutoCommit(false);
			Statement s = c.createStatement();
			s.setFetchSize(10); // portals, suspended again and again
			long sum = 0;
			try (ResultSet r = s.executeQuery("SELECT generate_series(1, 1000)")) {
				while (r.next())
					sum += r.getInt(1);
			}
			say("fetched", sum);
			Savepoint save = c.setSavepoint();
			try {
				s.execute("SELECT 1/0");
			} catch (SQLException e) {
				c.rollback(save);
			}
			c.commit();
			c.setAutoCommit(true);
			s = c.createStatement();
			s.setQueryTimeout(1); // a CancelRequest of its own
			try {
				s.execute("SELECT pg_sleep(30)");
			} catch (SQLException e) {
				say("cancelled", e.getSQLState());
			}
			s.setQueryTimeout(0);
			s.execute("DO $$BEGIN RAISE NOTICE 'told'; END$$");
			say("warning", s.getWarnings().getMessage());
			s.execute("LISTEN c");
			s.execute("NOTIFY c, 'payload'");
			say("heard", c.unwrap(PGConnection.class).getNotifications(5000)[0].getParameter());
			c.setAutoCommit(false);
			org.postgresql.largeobject.LargeObjectManager lobs = c.unwrap(PGConnection.class).getLargeObjectAPI();
			long oid = lobs.createLO(); // the fast path: FunctionCall
			org.postgresql.largeobject.LargeObject lob = lobs.open(oid);
			lob.write(new byte[100000]);
			lob.seek(0);
			say("large object", lob.read(200000).length);
			lob.close();
			lobs.delete(oid);
			c.commit();
		} catch (SQLException e) {
			say("failed", e.getSQLState(), e.getMessage());
			System.exit(1);
		}
	}
}
