import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { outputSchema } from "../../src/wire/anthropic/output-schema.ts";

describe("a schema for an answer of Anthropic's", () => {
  test("keeps what the service takes", () => {
    const schema = {
      type: "object",
      title: "Person",
      description: "Who.",
      properties: {
        name: { type: "string", format: "email" },
        tags: { type: "array", items: { type: "string" }, minItems: 1 },
        kind: { enum: ["a", "b", null] },
        one: { const: 1 },
        either: { anyOf: [{ type: "string" }, { type: "null" }] },
        next: { $ref: "#/$defs/node" },
      },
      required: ["name"],
      additionalProperties: false,
      $defs: { node: { type: "object", properties: { next: { $ref: "#/$defs/node" } }, additionalProperties: false } },
    };
    expect(outputSchema(schema)).toEqual(schema);
  });

  test("tells in words what the service refuses, behind what is said already", () => {
    expect(outputSchema({ type: "integer", minimum: 1, maximum: 5, description: "Stars." })).toEqual({ type: "integer", description: "Stars.\n\n{minimum: 1, maximum: 5}" });
    expect(outputSchema({ type: "string", pattern: "^a", format: "regex" })).toEqual({ type: "string", description: '{pattern: "^a", format: "regex"}' });
    expect(outputSchema({ type: "array", items: { type: "number", multipleOf: 2 }, minItems: 3 })).toEqual({ type: "array", items: { type: "number", description: "{multipleOf: 2}" }, description: "{minItems: 3}" });
    expect(outputSchema({ type: "object", enum: [{ a: 1 }] })).toMatchObject({ type: "object", description: '{enum: [{"a":1}]}' });
  });

  test("has no open objects, one choice of several, literals without a type, and no draft", () => {
    expect(outputSchema({ $schema: "draft", type: "object", properties: { a: { type: "object", additionalProperties: { type: "string" } } } })).toEqual({
      type: "object",
      properties: { a: { type: "object", properties: {}, additionalProperties: false } },
      additionalProperties: false,
    });
    expect(outputSchema({ oneOf: [{ type: "string", minLength: 2 }, { const: 1 }] })).toEqual({ anyOf: [{ type: "string", description: "{minLength: 2}" }, { const: 1 }] });
    expect(outputSchema({ type: "string", enum: ["a"] })).toEqual({ enum: ["a"], description: '{type: "string"}' });
  });

  test("of zod holds only what the service takes", () => {
    const shape = z.object({ n: z.number().int().min(0).max(9), s: z.string().min(1).max(5).regex(/a/), u: z.url(), e: z.enum(["a", "b"]), l: z.array(z.email()).min(2), o: z.object({}).loose().optional(), r: z.record(z.string(), z.number()) });
    const said = JSON.stringify(outputSchema(shape["~standard"].jsonSchema.input({ target: "draft-2020-12" })));
    for (const keyword of ["minimum", "maximum", "minLength", "maxLength", "pattern", "propertyNames", "$schema"]) expect(said).not.toContain(`"${keyword}":`);
    expect(said).toContain('"additionalProperties":false');
  });

  test("is the same when it is made again, whatever it began with", () => {
    fc.assert(
      fc.property(fc.object({ key: fc.constantFrom("type", "properties", "items", "anyOf", "minimum", "format", "a", "$defs", "additionalProperties"), maxDepth: 4 }), (schema) => {
        const once = outputSchema(schema);
        expect(outputSchema(once)).toEqual(once);
      }),
      { numRuns: Number(process.env.PROPERTY_RUNS ?? 200) },
    );
  });
});
