// Prisma's schema engine as WebAssembly, over node-postgres: nothing but npm's packages is needed.
import { defineConfig } from "prisma/config";
import { PrismaPg } from "@prisma/adapter-pg";
import Result from "pg/lib/result";

// The engine asks for values of the type `name` (19), which this adapter does not know yet: as `text` (25) they are the same.
const addFields = Result.prototype.addFields;
Result.prototype.addFields = function (fields) {
  for (const field of fields) if (field.dataTypeID === 19) field.dataTypeID = 25;
  return addFields.call(this, fields);
};

// A timer of its patience, which has done its work, would keep the program for 10 s.
const set = globalThis.setTimeout;
globalThis.setTimeout = Object.assign((f, ms, ...more) => {
  const timer = set(f, ms, ...more);
  if (ms >= 10000) timer.unref();
  return timer;
}, set);

export default defineConfig({
  experimental: { adapter: true },
  engine: "js",
  schema: "schema.prisma",
  migrations: { path: "migrations" },
  adapter: async () => new PrismaPg({ connectionString: process.env.DATABASE_URL, idleTimeoutMillis: 10 }),
});
