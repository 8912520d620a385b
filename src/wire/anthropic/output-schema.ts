/**
 * A JSON Schema as the service takes it for an answer: of what it refuses, the words go into descriptions, where the model reads them.
 *
 * Source: docs.anthropic.com, "Structured outputs", and `lib/transform-json-schema` of `@anthropic-ai/sdk` 1.14, which does it for zod alone.
 *
 * @module
 */
import { type Shape, shapeOf } from "../json-shape.ts";

const formats: ReadonlySet<unknown> = new Set(["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"]);

/** The same values, or fewer: objects have no fields but those that are named. */
export function outputSchema(schema: Shape): Shape {
  if (schema.$ref !== undefined) return { ...(schema.$defs === undefined ? {} : { $defs: ofEach(schema.$defs) }), $ref: schema.$ref };
  const { $schema: _, ...rest } = schema;
  const kept: Record<string, unknown> = {};
  const told: Record<string, unknown> = {};
  for (const [keyword, value] of Object.entries(rest)) {
    const taken = keyword === "additionalProperties" ? undefined : takenOf(keyword, value, schema);
    if (taken !== undefined) kept[taken[0]] = taken[1];
    else if (keyword !== "additionalProperties" || value === true || typeof value === "object") told[keyword] = value;
  }
  if (kept.type === "object") {
    kept.properties ??= {};
    kept.additionalProperties = false;
    delete told.additionalProperties;
  }
  const words = Object.entries(told).map(([keyword, value]) => `${keyword}: ${JSON.stringify(value)}`);
  if (words.length > 0) kept.description = [...(typeof kept.description === "string" ? [kept.description] : []), `{${words.join(", ")}}`].join("\n\n");
  return kept;
}

/** A keyword that the service takes, and its value; undefined for others. */
function takenOf(keyword: string, value: unknown, { type, enum: values, const: one }: Shape): readonly [keyword: string, value: unknown] | undefined {
  const literal = isLiteral(values) || (one !== undefined && isPrimitive(one));
  switch (keyword) {
    case "title":
    case "description":
    case "required":
      return [keyword, value];
    case "type":
      return literal ? undefined : [keyword, value];
    case "enum":
      return isLiteral(value) ? [keyword, value] : undefined;
    case "const":
      return isPrimitive(value) ? [keyword, value] : undefined;
    case "anyOf":
    case "allOf":
      return Array.isArray(value) ? [keyword, value.map(inner)] : undefined;
    case "oneOf":
      return Array.isArray(value) ? ["anyOf", value.map(inner)] : undefined;
    case "$defs":
    case "properties":
      return [keyword, ofEach(value)];
    case "items":
      return shapeOf(value) === undefined ? undefined : [keyword, inner(value)];
    case "minItems":
      return value === 0 || value === 1 ? [keyword, value] : undefined;
    case "format":
      return type === "string" && formats.has(value) ? [keyword, value] : undefined;
    default:
      return undefined;
  }
}

function inner(schema: unknown): unknown {
  const shape = shapeOf(schema);
  return shape === undefined ? schema : outputSchema(shape);
}

function ofEach(schemas: unknown): unknown {
  return Object.fromEntries(Object.entries(shapeOf(schemas) ?? {}).map(([name, schema]) => [name, inner(schema)]));
}

function isLiteral(values: unknown): boolean {
  return Array.isArray(values) && values.length > 0 && values.every(isPrimitive);
}

function isPrimitive(value: unknown): boolean {
  return value === null || typeof value !== "object";
}
