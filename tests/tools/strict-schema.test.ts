import { describe, expect, test } from "vitest";
import { z } from "zod";
import type { JsonSchema } from "../../src/tools/schema.ts";
import { toldSchema } from "../../src/tools/strict-schema.ts";

const object = (properties: Readonly<Record<string, unknown>>, more: JsonSchema = {}): JsonSchema => ({ type: "object", properties, required: Object.keys(properties), additionalProperties: false, ...more });
const nested = (levels: number): JsonSchema => (levels === 1 ? object({}) : object({ in: nested(levels - 1) }));
const fields = (count: number): JsonSchema => object(Object.fromEntries(Array.from({ length: count }, (_, i) => [String(i), { type: "null" }])));
const oneOf = (count: number): JsonSchema => ({ type: "integer", enum: Array.from({ length: count }, (_, i) => i) });

describe("a schema that may be strict", () => {
  test.each<[string, JsonSchema]>([
    ["an object without fields", object({})],
    ["each type", object({ a: { type: "string" }, b: { type: "number" }, c: { type: "boolean" }, d: { type: "integer" }, e: { type: "null" }, f: { type: "array", items: { type: "string" } } })],
    ["a field that may be null", object({ a: { type: ["string", "null"], description: "or not" } })],
    ["an object in a list and in a choice", object({ a: { type: "array", items: object({ b: { anyOf: [object({}), { type: "null" }] } }), minItems: 1, maxItems: 9 } })],
    ["limits of numbers and texts", object({ a: { type: "integer", minimum: 0, exclusiveMaximum: 9, multipleOf: 3 }, b: { type: "string", pattern: "^a" }, c: { type: "string", format: "date" } })],
    ["a reference, to a definition and to itself", object({ a: { $ref: "#/$defs/node" }, b: { anyOf: [{ $ref: "#" }, { type: "null" }] } }, { $defs: { node: object({}) } })],
    ["ten levels", nested(10)],
    ["a thousand values to choose from", object({ a: oneOf(1_000) })],
    ["what zod makes of an object", z.toJSONSchema(z.object({ a: z.string(), b: z.enum(["x", "y"]), c: z.array(z.object({ d: z.number().nullable() })), e: z.literal("z") }))],
  ])("is %s", (_, schema) => {
    const { $schema: _draft, ...told } = schema;
    expect(toldSchema(told)).toEqual({ schema: told, strict: true });
  });

  test.each<[string, JsonSchema]>([
    ["no object at the root", { type: "array", items: object({}) }],
    ["a choice at the root", { type: "object", anyOf: [object({})] }],
    ["a reference at the root", { $ref: "#/$defs/a", $defs: { a: object({}) } }],
    ["nothing said", {}],
    ["an optional field", object({ a: { type: "string" } }, { required: [] })],
    ["no list of required fields", { type: "object", properties: { a: { type: "null" } }, additionalProperties: false }],
    ["further fields", object({}, { additionalProperties: true })],
    ["further fields of a type", object({}, { additionalProperties: { type: "string" } })],
    ["no word of its fields", { type: "object", properties: {}, required: [] }],
    ["further fields within", object({ a: { type: "array", items: { type: "object", properties: {} } } })],
    ["further fields in a choice", object({ a: { anyOf: [{ type: "object" }, { type: "null" }] } })],
    ["further fields in a definition", object({ a: { $ref: "#/$defs/b" } }, { $defs: { b: { type: "object" } } })],
    ["an object that may be something else", object({ a: { type: ["object", "null"] } })],
    ["a field of any value", object({ a: {} })],
    ["a field that is true", object({ a: true })],
    ["an unknown type", object({ a: { type: "date" } })],
    ["a list of anything", object({ a: { type: "array" } })],
    ["a choice and fields beside it", object({ a: { properties: { b: {} }, anyOf: [object({})] } })],
    ["a choice and a type beside it", object({ a: { type: "object", anyOf: [object({})] } })],
    ["a choice and items beside it", object({ a: { items: {}, anyOf: [object({})] } })],
    ["a choice of none", object({ a: { anyOf: [] } })],
    ["a keyword that services do not know", object({ a: { type: "string", minLength: 1 } })],
    ["a default", object({ a: { type: "string", default: "x" } })],
    ["a format that services do not know", object({ a: { type: "string", format: "uri" } })],
    ["a reference elsewhere", object({ a: { $ref: "https://example.com/a" } })],
    ["a reference and more", object({ a: { $ref: "#", description: "again" } })],
    ["definitions within", object({ a: object({}, { $defs: {} }) })],
    ["eleven levels", nested(11)],
    ["more than 5,000 fields", object({ a: fields(2_500), b: fields(2_500) })],
    ["more than a thousand values to choose from", object({ a: oneOf(999), b: oneOf(2) })],
    ["more than 120,000 characters", object({}, { description: "x".repeat(120_000) })],
  ])("is not one with %s", (_, schema) => {
    expect(toldSchema(schema)).toEqual({ schema, strict: false });
  });

  test("is made of one whose objects do not say whether they have further fields, wherever they stand", () => {
    const open = { type: "object", properties: { a: { type: "string" } }, required: ["a"] };
    const all = (each: JsonSchema): JsonSchema => object({ list: { type: "array", items: each }, choice: { anyOf: [each, { type: "null" }] }, field: each, there: { $ref: "#/$defs/it" } }, { $defs: { it: each } });
    const { additionalProperties: _, ...root } = all(open);
    expect(toldSchema(root)).toEqual({ schema: all({ ...open, additionalProperties: false }), strict: true });
    expect(root).toEqual({ ...all(open), additionalProperties: undefined });
  });

  test("is left as it is where closing its objects is not all it takes", () => {
    const schema = { type: "object", properties: { a: { type: "object", properties: { b: { type: "string" } } } }, required: ["a"] };
    expect(toldSchema(schema)).toEqual({ schema, strict: false });
  });
});
