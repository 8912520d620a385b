/**
 * Which JSON Schemas may go out as `strict`: a service that knows the word holds the model to them, and refuses others.
 *
 * Source: developers.openai.com/api/docs/guides/structured-outputs, "Supported schemas".
 *
 * @module
 */
import type { OutputSchema } from "../core/asked.ts";
import type { JsonSchema } from "./schema.ts";

/** Objects within objects. */
const maxLevels = 10;
/** Values of all enumerations together. */
const maxEnumValues = 1_000;
/** Of names and values; counted here with all that is around them, so that 5,000 fields, which are the limit, are more than that. */
const maxCharacters = 120_000;

const keywords: ReadonlySet<string> = new Set(
  ("type title description enum const anyOf $defs properties required additionalProperties items minItems maxItems " +
    "pattern format multipleOf minimum maximum exclusiveMinimum exclusiveMaximum").split(" "),
);
const types: ReadonlySet<unknown> = new Set(["string", "number", "boolean", "integer", "object", "array", "null"]);
const formats: ReadonlySet<unknown> = new Set(["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"]);

/**
 * A schema as a model is told it, and whether it can be held to it: if it is an object all of whose fields are required, without others, and
 * so on all the way down, in the keywords of the list. Objects that do not say so are told to have no other fields, where that is all it
 * takes: whatever the model says then is of the schema as it was, too.
 */
export function toldSchema(schema: JsonSchema): Required<Pick<OutputSchema, "schema" | "strict">> {
  const closed = { ...schema, ...closing(schema) };
  const strict = isStrict(closed);
  return { schema: strict ? closed : schema, strict };
}

function isStrict(schema: JsonSchema): boolean {
  const count = { enumValues: 0 };
  const { $defs = {}, ...root } = schema;
  return (
    root.type === "object" &&
    root.anyOf === undefined &&
    isObject($defs) &&
    [root, ...Object.values($defs)].every((each) => fits(each, 0, count)) &&
    count.enumValues <= maxEnumValues &&
    JSON.stringify(schema).length <= maxCharacters
  );
}

interface Count {
  enumValues: number;
}

function fits(schema: unknown, level: number, count: Count): boolean {
  if (!isObject(schema)) return false;
  if (schema.$ref !== undefined) return typeof schema.$ref === "string" && /^#(?:\/\$defs\/[^/]+)?$/.test(schema.$ref) && Object.keys(schema).length === 1;
  if (!Object.keys(schema).every((keyword) => keywords.has(keyword)) || schema.$defs !== undefined) return false;
  const { type, enum: values, anyOf, properties, items, format } = schema;
  if (format !== undefined && !formats.has(format)) return false;
  if (Array.isArray(values)) count.enumValues += values.length;
  if (anyOf !== undefined) {
    const alone = type === undefined && properties === undefined && items === undefined;
    return alone && Array.isArray(anyOf) && anyOf.length > 0 && anyOf.every((each) => fits(each, level, count));
  }
  const named: readonly unknown[] = Array.isArray(type) ? type : [type];
  if (named.includes("array") && !fits(items, level, count)) return false;
  if (named.includes("object") && !fitsObject(schema, level + 1, count)) return false;
  return named.every((each) => types.has(each));
}

function fitsObject({ properties = {}, required = [], additionalProperties }: JsonSchema, level: number, count: Count): boolean {
  if (level > maxLevels || additionalProperties !== false || !isObject(properties) || !Array.isArray(required)) return false;
  return Object.entries(properties).every(([name, field]) => required.includes(name) && fits(field, level, count));
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What changes where objects are closed. */
function closing({ properties, additionalProperties = false, items, anyOf, $defs }: JsonSchema): JsonSchema {
  return {
    ...(isObject(properties) && Object.keys(properties).length > 0 ? { properties: ofEach(properties), additionalProperties } : {}),
    ...(isObject(items) ? { items: closedOf(items) } : {}),
    ...(Array.isArray(anyOf) ? { anyOf: anyOf.map(closedOf) } : {}),
    ...(isObject($defs) ? { $defs: ofEach($defs) } : {}),
  };
}

function closedOf(schema: unknown): unknown {
  return isObject(schema) ? { ...schema, ...closing(schema) } : schema;
}

function ofEach(schemas: JsonSchema): JsonSchema {
  return Object.fromEntries(Object.entries(schemas).map(([name, schema]) => [name, closedOf(schema)]));
}
