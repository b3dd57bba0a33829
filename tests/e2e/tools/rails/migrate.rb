# Active Record's migrations without the rest of Rails: migrate.rb up | down, in the folder of db/.
require "active_record"

ActiveRecord::Base.logger = nil
ActiveRecord::Migration.verbose = false
ActiveRecord::Base.establish_connection(adapter: "postgresql", host: ENV["PGHOST"], port: ENV["PGPORT"], username: ENV["PGUSER"],
                                        database: ENV["PGDATABASE"])
context = if ActiveRecord.gem_version < Gem::Version.new("7.1")
  ActiveRecord::MigrationContext.new("db", ActiveRecord::SchemaMigration)
else
  ActiveRecord::MigrationContext.new("db")
end
ARGV[0] == "up" ? context.migrate : context.rollback(1)
