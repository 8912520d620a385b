import { describe, expect, test } from "vitest";
import { postgres } from "../../src/adapters/postgres/index.ts";
import { isJson, run } from "../../src/index.ts";
import { rows } from "../../src/kinds/rows.ts";
import { service, titled } from "../services.ts";

/** Rows that are read; `ROWS=10000000` for the long form. */
const count = Number(process.env.ROWS ?? 200_000);
/** MiB of heap over what there was before: some batches, and where the collector cannot be called what it has not come to yet. All rows would be twice that. */
const allowedMib = 96;
const collect = (globalThis as { gc?: () => void }).gc;
const heapBytes = (): number => {
  collect?.();
  return process.memoryUsage().heapUsed;
};

const server = await service("postgres");
describe.skipIf(server.skip !== undefined)(titled("a result of any length", server), () => {
  test(`is read at flat memory: ${count} rows of 500 characters`, async () => {
    if (server.url === undefined) return;
    const sql = postgres({ connectionString: server.url, timeoutMs: 600_000 });
    const text = `select n, repeat(chr(97 + (n % 26)::integer), 500) as wide from generate_series(1, ${count}) as n`;
    let read = 0;
    let most = 0;
    const before = heapBytes();
    for await (const part of run(rows(sql, { text }), "go")) {
      if (!isJson(part)) throw new Error(`a ${part.kind} part`);
      read += 1;
      if (read % 10_000 === 0) most = Math.max(most, heapBytes());
    }
    await sql.close();
    expect(read).toBe(count);
    expect((most - before) / 2 ** 20).toBeLessThan(allowedMib);
  }, 600_000);
});
