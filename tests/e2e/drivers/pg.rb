# ruby-pg: what it sees, line by line. Reads libpq's environment.
require 'pg'
require 'timeout'

connection = PG.connect
puts connection.exec('SELECT session_user::text').getvalue(0, 0)
exit if ARGV[0] == 'login'
connection.exec('SET client_min_messages = notice')
connection.set_notice_processor { |text| puts "told #{text}" }
p connection.exec_params('SELECT $1::int + 1, $2::text, NULL', [41, 'ünï']).values
connection.prepare('s', 'SELECT $1::int * 2')
5.times { |i| p connection.exec_prepared('s', [i]).values }
connection.exec('CREATE TEMP TABLE t (a int, b text)')
connection.copy_data('COPY t FROM STDIN') { 5000.times { |i| connection.put_copy_data("#{i}\tcopied\n") } }
size = 0
connection.copy_data('COPY (SELECT * FROM t ORDER BY a) TO STDOUT') do
  while (row = connection.get_copy_data)
    size += row.size
  end
end
puts "copied out #{size}"
begin
  connection.copy_data('COPY t FROM STDIN') { raise 'the client changes its mind' }
rescue RuntimeError, PG::Error => e
  puts e.class
end
['SELECT 1/0', 'SELEC', 'SELECT * FROM nowhere'].each do |bad|
  connection.exec(bad)
rescue PG::Error => e
  puts "#{bad} #{e.result.error_field(PG::Result::PG_DIAG_SQLSTATE)}"
end
connection.transaction { |c| c.exec('INSERT INTO t VALUES (100000)') }
begin
  connection.transaction { |c| c.exec('INSERT INTO t VALUES (200000)'); raise 'no' }
rescue RuntimeError
  p connection.exec('SELECT max(a) FROM t').values
end
connection.exec("DO $$BEGIN RAISE NOTICE 'hello'; END$$")
connection.exec('LISTEN c')
connection.exec("NOTIFY c, 'payload'")
connection.wait_for_notify(5) { |_channel, _pid, payload| puts "heard #{payload}" }
connection.send_query('SELECT pg_sleep(30)')
watcher = PG.connect
running = "SELECT 1 FROM pg_stat_activity WHERE pid = #{connection.backend_pid} AND state = 'active'"
sleep 0.01 until watcher.exec(running).ntuples == 1
watcher.close
connection.cancel
begin
  connection.get_last_result
rescue PG::Error => e
  puts "cancelled #{e.result.error_field(PG::Result::PG_DIAG_SQLSTATE)}"
end
connection.send_query('SELECT generate_series(1, 100)')
connection.set_single_row_mode
sum = 0
connection.get_result.stream_each { |row| sum += row['generate_series'].to_i }
connection.get_result
puts "streamed #{sum}"
if connection.respond_to?(:enter_pipeline_mode)
  connection.enter_pipeline_mode
  10.times { |i| connection.send_query_params('SELECT $1::int', [i]) }
  connection.pipeline_sync
  Timeout.timeout(20) do
    loop do
      result = connection.get_result or next
      break if result.result_status == PG::PGRES_PIPELINE_SYNC
      p result.values
    end
  end
  connection.exit_pipeline_mode
end
p connection.exec("SELECT length(repeat('y', 2000000))").values
connection.close
