import { type } from "arktype";
import * as v from "valibot";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { isMillraceError, run, tool, withTools } from "../../src/index.ts";
import { mockModel } from "../../src/testing/index.ts";
import { checkedSchema } from "../../src/tools/schema.ts";

const city = { type: "object", properties: { city: { type: "string" }, days: { type: "number" } }, required: ["city"] };

describe("a schema", () => {
  test("of zod, arktype and JSON Schema tells the model the same", () => {
    const schemas = [z.object({ city: z.string(), days: z.number().optional() }), type({ city: "string", "days?": "number" }), { $schema: "https://json-schema.org/draft/2020-12/schema", ...city }];
    for (const schema of schemas) expect(checkedSchema("t", "input", schema).jsonSchema).toEqual(city);
  });

  test("without a JSON Schema of its own needs one beside it, which wins over what a library gives", async () => {
    const schema = v.object({ city: v.string() });
    const make = (): unknown => checkedSchema("t", "input", schema);
    expect(make).toThrow("t: input is a schema of valibot that gives no JSON Schema: wrap it in toStandardJsonSchema of @valibot/to-json-schema, or pass jsonSchema");
    expect(make).toThrow(expect.toSatisfy((error) => isMillraceError(error, "missing_config")));
    expect(checkedSchema("t", "input", schema, city).jsonSchema).toEqual(city);
    expect(checkedSchema("t", "input", z.object({}), city).jsonSchema).toEqual(city);
    expect(await checkedSchema("t", "input", schema, city).check({ city: "Oslo" })).toEqual({ ok: true, value: { city: "Oslo" } });
  });

  test("gives the value that it made, or what is wrong, with the place", async () => {
    const shapes = [
      z.object({ at: z.object({ city: z.string().trim() }) }),
      type({ at: { city: "string.trim" } }),
    ];
    for (const schema of shapes) {
      const { check } = checkedSchema("t", "input", schema);
      expect(await check({ at: { city: " Oslo " } })).toEqual({ ok: true, value: { at: { city: "Oslo" } } });
      expect(await check({ at: { city: 1 } })).toEqual({ ok: false, issues: expect.stringMatching(/^at\.city: /) });
      expect(await check(null)).toEqual({ ok: false, issues: expect.stringMatching(/^[^:]+/) });
    }
    const { check } = checkedSchema("t", "input", v.object({ at: v.object({ city: v.string() }) }), city);
    expect(await check({ at: { city: 1 } })).toEqual({ ok: false, issues: expect.stringMatching(/^at\.city: /) });
    expect(await checkedSchema("t", "input", { type: "object", properties: { "a/b~c": { type: "number" } } }).check({ "a/b~c": "x" })).toEqual({
      ok: false,
      issues: expect.stringMatching(/^a\/b~c: [^;]+$/),
    });
  });

  test("says what is missing at the top also where something inside is wrong", async () => {
    const { check } = checkedSchema("t", "input", { type: "object", properties: { city: { type: "string" }, days: { type: "array", items: { type: "number" } } }, required: ["city"], additionalProperties: false });
    expect(await check({ turn: 1 })).toEqual({ ok: false, issues: expect.stringMatching(/^[^;]*"city"[^;]*; turn: is not allowed$/) });
    expect(await check({ city: "Oslo", days: [1, "two"] })).toEqual({ ok: false, issues: expect.stringMatching(/^days\.1: [^;]*$/) });
  });

  test("may take its time, and says at most 300 characters", async () => {
    const slow = z.object({ n: z.number().refine(async (n) => n > 1, "too small ".repeat(100)) });
    const result = await checkedSchema("t", "input", slow).check({ n: 0 });
    expect(result).toEqual({ ok: false, issues: `${`n: ${"too small ".repeat(100)}`.slice(0, 300)}…` });
    expect(await checkedSchema("t", "input", slow).check({ n: 2 })).toEqual({ ok: true, value: { n: 2 } });
  });

  test("is refused where it is none", () => {
    for (const value of [undefined, null, 7, "string", [], () => 1]) expect(() => checkedSchema("t", "input", value as never)).toThrow("t: input must be a Standard Schema or a JSON Schema");
  });

  test("types what a tool is given", async () => {
    const model = mockModel([[{ toolCall: { name: "a", arguments: { n: "7" } } }, { toolCall: { name: "b", arguments: { n: 7 } } }], "end"]);
    const a = tool({ name: "a", input: z.object({ n: z.string().transform(Number) }), jsonSchema: city, run: ({ n }) => n.toFixed(1) });
    const b = tool({ name: "b", input: type({ n: "number" }), run: ({ n }) => n.toFixed(2) });
    const parts = await run(withTools(model, [a, b]), "q").collect();
    expect(parts.flatMap((part) => (part.kind === "toolResult" ? [part.result] : []))).toEqual(["7.0", "7.00"]);
  });
});
