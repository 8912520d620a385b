import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bytes, each, finish, image, isolate, isText, json, MillraceError, type Part, pipe, type Processor, run, status, tap, text, toolCall, toolResult, uri } from "../../src/index.ts";
import { recorded, type RecordedEvent } from "../../src/kinds/recorded.ts";
import { recordedPart } from "../../src/kinds/recorded-rows.ts";
import { recordedSetup } from "../../src/kinds/recorded-tables.ts";
import { rows } from "../../src/kinds/rows.ts";
import type { SqlDatabase } from "../../src/kinds/sql.ts";
import { opaque, texts } from "../streams/support.ts";
import { onDatabases } from "./sql-support.ts";

const upper = each((part) => (isText(part) ? part.text.toUpperCase() : part));
const failing: Processor = async function* (input) {
  for await (const part of input) {
    yield part;
    if (texts([part])[0] === "bad") throw new MillraceError("refused", "no");
  }
};

await onDatabases("recorded", (database) => {
  const made = async (schema?: string): Promise<{ readonly table: string; readonly schema?: string }> => {
    const tables = { table: database.table(), ...(schema === undefined ? {} : { schema }) };
    await recordedSetup(database.sql, tables);
    return tables;
  };
  const inputs = (table: string): Promise<unknown> => database.rows(`select id, state, error, text from ${table}_inputs order by run, ordinal`);
  const results = (table: string): Promise<unknown> => database.rows(`select id, input, text from ${table}_results order by run, ordinal`);

  test("stores what went in and what came out, each result with the input it came of", async () => {
    const { table } = await made();
    const events: RecordedEvent[] = [];
    const stage = recorded(upper, database.sql, { table, onRecord: (event) => void events.push(event) });
    expect(await run(stage, ["a", "b"], { correlationId: "r1" }).text()).toBe("AB");
    expect(await inputs(table)).toEqual([
      { id: "r1:0", state: "processed", error: null, text: "a" },
      { id: "r1:1", state: "processed", error: null, text: "b" },
    ]);
    expect(await results(table)).toEqual([
      { id: "r1:0", input: "r1:0", text: "A" },
      { id: "r1:1", input: "r1:1", text: "B" },
    ]);
    const [row] = await database.rows(`select distinct created_at from ${table}_inputs`);
    expect(events).toEqual([{ stored: true, run: "r1", inputs: 2, results: 2, replayed: false, at: row?.created_at }]);
  });

  test("a second run under the same correlation id changes nothing, whatever came out of it", async () => {
    const { table } = await made("of_ours");
    const events: RecordedEvent[] = [];
    const options = { table, schema: "of_ours", onRecord: (event: RecordedEvent): void => void events.push(event) };
    await run(recorded(upper, database.sql, options), "a", { correlationId: "r1" }).collect();
    await run(recorded(each(() => ["x", image(Uint8Array.of(1)), "z"]), database.sql, options), "a", { correlationId: "r1" }).collect();
    expect(await results(`of_ours.${table}`)).toEqual([{ id: "r1:0", input: "r1:0", text: "A" }]);
    expect(events.map((event) => event.stored && event.replayed)).toEqual([false, true]);
  });

  test("a run that fails is stored as failed, without results, and a later one that does not as processed", async () => {
    const { table } = await made();
    const once = (processor: Processor): Promise<unknown> => run(recorded(processor, database.sql, { table }), ["a", "bad"], { correlationId: "r1" }).collect();
    await expect(once(failing)).rejects.toMatchObject({ code: "refused" });
    expect(await inputs(table)).toMatchObject([{ state: "failed", error: "refused" }, { state: "failed", error: "refused" }]);
    expect(await results(table)).toEqual([]);
    await once(opaque);
    expect(await inputs(table)).toMatchObject([{ state: "processed", error: null }, { state: "processed", error: null }]);
    expect(await results(table)).toMatchObject([{ input: "r1:0", text: "a" }, { input: "r1:1", text: "bad" }]);
  });

  test("a record of a failure that cannot be stored does not hide the failure", async () => {
    const events: RecordedEvent[] = [];
    const stage = recorded(failing, database.sql, { table: database.table(), onRecord: (event) => void events.push(event) });
    await expect(run(stage, "bad").collect()).rejects.toMatchObject({ code: "refused" });
    expect(events).toMatchObject([{ stored: false, error: { code: "not_found" } }]);
  });

  test("an error of the source is the run's own, and the inputs before it have failed", async () => {
    const { table } = await made();
    const broken = new Error("source");
    const source = (async function* () {
      yield "a";
      throw broken;
    })();
    await expect(run(recorded(upper, database.sql, { table }), source).collect()).rejects.toBe(broken);
    expect(await inputs(table)).toMatchObject([{ state: "failed", error: "error" }]);
  });

  test("a run that is left or aborted is not recorded", async () => {
    const { table } = await made();
    const events: RecordedEvent[] = [];
    const stage = recorded(upper, database.sql, { table, onRecord: (event) => void events.push(event) });
    for await (const _ of run(stage, ["a", "b"])) break;
    const controller = new AbortController();
    const reason = new Error("enough");
    const aborting = pipe(stage, tap(() => controller.abort(reason)));
    await expect(run(aborting, ["a", "b"], { signal: controller.signal }).collect()).rejects.toBe(reason);
    expect(await inputs(table)).toEqual([]);
    expect(events).toEqual([]);
  });

  test("all of it is stored or nothing: a result that is refused takes the inputs with it", async () => {
    const { table } = await made();
    await database.sql.execute({ text: `alter table ${table}_results add check (text <> 'B')` });
    const events: RecordedEvent[] = [];
    const stage = recorded(upper, database.sql, { table, onRecord: (event) => void events.push(event) });
    const seen: string[] = [];
    await expect(run(pipe(stage, tap((part) => void seen.push(...texts([part])))), ["a", "b"], { correlationId: "r1" }).collect()).rejects.toMatchObject({ code: "invalid_input" });
    expect(seen).toEqual(["A", "B"]);
    expect(await inputs(table)).toEqual([]);
    expect(await results(table)).toEqual([]);
    expect(events).toMatchObject([{ stored: false, run: "r1", inputs: 2, results: 2, error: { code: "invalid_input" } }]);
  });

  test("with mark, a record that is lost is said, and the processor has run once", async () => {
    const table = database.table(); // never made
    let calls = 0;
    const events: RecordedEvent[] = [];
    const paid = each((part) => {
      calls += 1;
      return part;
    });
    const stage = recorded(paid, database.sql, { table, onStoreError: "mark", onRecord: (event) => void events.push(event) });
    const parts = await run(stage, ["a", "b"], { correlationId: "r1" }).collect();
    expect(texts(parts)).toEqual(["a", "b", "recorded: not stored (not_found)"]);
    expect(parts[2]).toMatchObject({ substream: "status", metadata: { recorded: { stored: false, code: "not_found", run: "r1", inputs: 2, results: 2 } } });
    expect(events).toMatchObject([{ stored: false, error: { code: "not_found" } }]);
    expect(calls).toBe(2);
    await expect(run(recorded(paid, database.sql, { table }), "a").collect()).rejects.toMatchObject({ code: "not_found" });
  });

  test("with mark, an abort while the record is stored is still the run's end", async () => {
    const { table } = await made();
    const controller = new AbortController();
    const reason = new Error("enough");
    const late: Processor = async function* (input) {
      yield* input;
      controller.abort(reason);
    };
    const events: RecordedEvent[] = [];
    const stage = recorded(late, database.sql, { table, onStoreError: "mark", onRecord: (event) => void events.push(event) });
    await expect(run(stage, "a", { signal: controller.signal }).collect()).rejects.toBe(reason);
    expect(await inputs(table)).toEqual([]);
    expect(events).toEqual([]);
  });

  test("with receipts, an input is there before the processor sees it", async () => {
    const { table } = await made();
    const seen: unknown[] = [];
    const looking: Processor = async function* (input) {
      for await (const part of input) {
        seen.push(await inputs(table));
        yield part;
      }
    };
    await run(recorded(looking, database.sql, { table, receipts: true }), ["a", "b"], { correlationId: "r1" }).collect();
    expect(seen).toMatchObject([[{ id: "r1:0", state: "received" }], [{ state: "received" }, { id: "r1:1", state: "received" }]]);
    expect(await inputs(table)).toMatchObject([{ state: "processed" }, { state: "processed" }]);
  });

  test("results go on as they come, and texts that follow one another are one row", async () => {
    const { table } = await made();
    const model: Processor = async function* (input) {
      for await (const _ of input) {
        for (const delta of ["so", "", " it is"]) yield text(delta, { role: "assistant" });
        yield text("apart", { metadata: { n: 1 } });
        yield finish({ reason: "stop" });
      }
    };
    const counts: unknown[] = [];
    const stage = pipe(recorded(model, database.sql, { table }), tap(async (part) => void counts.push([part.kind, (await database.rows(`select 1 as n from ${table}_inputs`)).length])));
    await run(stage, ["a"]).collect();
    expect(counts).toEqual([...Array.from({ length: 4 }, () => ["text", 0]), ["finish", 0]]);
    expect(await database.rows(`select kind, role, text, json->>'reason' as reason from ${table}_results order by ordinal`)).toEqual([
      { kind: "text", role: "assistant", text: "so it is", reason: null },
      { kind: "text", role: "user", text: "apart", reason: null },
      { kind: "finish", role: "assistant", text: null, reason: "stop" },
    ]);
  });

  test("status parts are no results", async () => {
    const { table } = await made();
    expect(texts(await run(recorded(each((part) => [status("working"), part]), database.sql, { table }), "a").collect())).toEqual(["working", "a"]);
    expect(await results(table)).toMatchObject([{ text: "a" }]);
  });

  test("run once a part by isolate, each part is a record of its own", async () => {
    const { table } = await made();
    const stage = isolate(recorded(failing, database.sql, { table }), { onError: "skip", errorBudget: false });
    await run(stage, ["a", "bad", "b"], { correlationId: "r1" }).collect();
    expect(await inputs(table)).toMatchObject([{ id: "r1:0", state: "processed" }, { id: "r1:1", state: "failed" }, { id: "r1:2", state: "processed" }]);
    expect(await results(table)).toMatchObject([{ input: "r1:0", text: "a" }, { input: "r1:2", text: "b" }]);
  });

  test("every part comes back as it was", async () => {
    const { table } = await made();
    const kept: Part[] = [
      text(""),
      text("a\0b \ud83d\ude00 '; drop table x; --", { metadata: { note: "x" } }),
      image(Uint8Array.of(0, 1, 255)),
      image(new Uint8Array()),
      json(null),
      json({ deep: ["\0", "\\u0000", { n: 1.5 }] }),
      uri("https://a.example/x.png", "image/png", { substream: "draft" }),
      toolCall({ id: "1", name: "look", arguments: { at: ["x"] } }),
      toolResult({ id: "1", name: "look", result: "seen", isError: true }),
      finish({ reason: "length", model: "m", usage: { inputTokens: 3 } }),
      text("done", { metadata: { openai: { id: "1", list: [1, null], nul: "\\u0000" } } }),
    ];
    await run(recorded(opaque, database.sql, { table }), kept, { correlationId: "r1" }).collect();
    const query = (which: string): Processor => rows(database.sql, { text: `select * from ${table}_${which} order by ordinal` }, { map: recordedPart });
    expect(await run(query("inputs"), "go").collect()).toEqual(kept);
    expect(await run(query("results"), "go").collect()).toEqual(kept);
  });

  test("so does any text, any bytes and any JSON", async () => {
    const { table } = await made();
    const content = fc.oneof(
      fc.string({ unit: "binary" }).map((value) => text(value)),
      fc.uint8Array({ maxLength: 300 }).map((value) => bytes(value, "image/png")),
      fc
        .jsonValue()
        .map((value) => JSON.stringify(value))
        .filter((value) => !/"(__proto__|constructor|prototype)":/.test(value)) // no part may have such keys
        .map((value) => json(JSON.parse(value))),
    );
    const part = fc.array(content, { minLength: 1, maxLength: 8 });
    let times = 0;
    await fc.assert(
      fc.asyncProperty(part, async (given) => {
        times += 1;
        const correlationId = `p${times}`;
        await run(recorded(opaque, database.sql, { table }), given, { correlationId }).collect();
        const query = rows(database.sql, { text: `select * from ${table}_inputs where run = $1 order by ordinal`, values: [correlationId] }, { map: recordedPart });
        expect(await run(query, "go").collect()).toEqual(given);
      }),
      { numRuns: Math.min(25, Number(process.env.PROPERTY_RUNS ?? 200)) },
    );
  });

  test("what is no part is refused as one, and metadata that is no JSON before anything is stored", async () => {
    const { table } = await made();
    const kinds = rows(database.sql, { text: "select 'video2' as kind, 'a' as text" }, { map: recordedPart });
    await expect(run(kinds, "go").collect()).rejects.toMatchObject({ code: "bad_response" });
    const odd = text("a", { metadata: { handle: () => 1 } });
    await expect(run(recorded(upper, database.sql, { table }), odd).collect()).rejects.toMatchObject({ code: "invalid_input" });
    const vector = text("a", { metadata: { embedding: Float32Array.of(1), n: 1 } });
    await run(recorded(upper, database.sql, { table }), vector).collect();
    expect(await database.rows(`select metadata from ${table}_inputs`)).toEqual([{ metadata: { n: 1 } }]);
  });

  test("setting up twice, also at once, leaves what is there", async () => {
    const { table } = await made();
    await run(recorded(upper, database.sql, { table }), "a").collect();
    await Promise.all([1, 2, 3].map(() => recordedSetup(database.sql, { table })));
    expect(await inputs(table)).toHaveLength(1);
  });
});

describe("recorded", () => {
  const untouched: SqlDatabase = {
    service: "untouched",
    query: () => {
      throw new Error("not asked for");
    },
    batches: () => {
      throw new Error("not asked for");
    },
    execute: () => Promise.reject(new Error("not asked for")),
    transaction: () => Promise.reject(new Error("not asked for")),
    close: async () => {},
    [Symbol.asyncDispose]: async () => {},
  };

  test("more than maxBytes is too large, and with mark the run goes on", async () => {
    const long = ["abcd", "efgh", "i"];
    await expect(run(recorded(upper, untouched, { table: "t", maxBytes: 10 }), long).collect()).rejects.toMatchObject({ code: "too_large" });
    const parts = await run(recorded(upper, untouched, { table: "t", maxBytes: 10, onStoreError: "mark" }), long).collect();
    expect(texts(parts)).toEqual(["ABCD", "EFGH", "I", "recorded: not stored (too_large)"]);
  });

  test("refuses what cannot work, when it is built", async () => {
    const options = { table: "t" };
    expect(() => recorded({} as Processor, untouched, options)).toThrow(/argument 1 must be a processor/);
    expect(() => recorded(upper, {} as SqlDatabase, options)).toThrow(/sql must be an SQL database/);
    for (const table of ['x"; drop table y', "", "a.b", "a".repeat(56), 5 as unknown as string]) {
      expect(() => recorded(upper, untouched, { table })).toThrow(/table must be a name/);
      await expect(recordedSetup(untouched, { table })).rejects.toMatchObject({ code: "invalid_input" });
    }
    expect(() => recorded(upper, untouched, { table: "t", schema: "a b" })).toThrow(/schema must be a name/);
    expect(() => recorded(upper, untouched, { table: "t", onStoreError: "ignore" as never })).toThrow(/onStoreError must be/);
    expect(() => recorded(upper, untouched, { table: "t", receipts: 1 as never })).toThrow(/receipts must be/);
    expect(() => recorded(upper, untouched, { table: "t", maxBytes: 0 })).toThrow(/maxBytes must be/);
    expect(() => recorded(upper, untouched, { table: "t", onRecord: 1 as never })).toThrow(/onRecord must be/);
  });
});
