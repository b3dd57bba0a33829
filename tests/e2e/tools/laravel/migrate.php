<?php
// Laravel's migrator without the rest of Laravel: migrate.php up | down.
error_reporting(E_ALL & ~E_DEPRECATED);
require "Illuminate/Database/autoload.php";
require "Illuminate/Filesystem/autoload.php";

use Illuminate\Database\Capsule\Manager;
use Illuminate\Database\Migrations\DatabaseMigrationRepository;
use Illuminate\Database\Migrations\Migrator;
use Illuminate\Filesystem\Filesystem;
use Illuminate\Support\Facades\Facade;

$capsule = new Manager;
$capsule->addConnection(["driver" => "pgsql", "host" => getenv("PGHOST"), "port" => getenv("PGPORT"), "username" => getenv("PGUSER"),
    "database" => getenv("PGDATABASE")]);
$capsule->setAsGlobal();
$repository = new DatabaseMigrationRepository($capsule->getDatabaseManager(), "migrations");
if (!$repository->repositoryExists()) {
    $repository->createRepository();
}
$migrator = new Migrator($repository, $capsule->getDatabaseManager(), new Filesystem);
$argv[1] == "up" ? $migrator->run(["migrations"]) : $migrator->rollback(["migrations"]);
