<?php

use Illuminate\Database\Capsule\Manager;
use Illuminate\Database\Migrations\Migration;

class CreateItems extends Migration
{
    public function up()
    {
        Manager::schema()->create("items", function ($table) {
            $table->increments("id");
        });
    }

    public function down()
    {
        Manager::schema()->drop("items");
    }
}
