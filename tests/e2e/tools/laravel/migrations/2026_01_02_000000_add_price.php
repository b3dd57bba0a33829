<?php

use Illuminate\Database\Capsule\Manager;
use Illuminate\Database\Migrations\Migration;

class AddPrice extends Migration
{
    public function up()
    {
        Manager::schema()->table("items", function ($table) {
            $table->integer("price")->nullable();
        });
    }

    public function down()
    {
        Manager::schema()->table("items", function ($table) {
            $table->dropColumn("price");
        });
    }
}
