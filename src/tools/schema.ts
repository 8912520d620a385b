/**
 * Schemas as users have them: Standard Schema (zod, valibot, arktype, …) or JSON Schema.
 *
 * Source: standardschema.dev, version 1, and its JSON Schema extension.
 *
 * @module
 */
import { invalidOption, MillraceError } from "../core/errors.ts";
import type { Checked } from "../kinds/tool.ts";
import { schemaCheck } from "../wire/schema-check.ts";

/** A JSON Schema, as the object it is. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** What a Standard Schema answers: the value it made, or what is wrong. */
export type StandardResult<T> =
  | { readonly value: T; readonly issues?: undefined }
  | { readonly issues: readonly { readonly message: string; readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined }[] };

/** A schema of any library that speaks Standard Schema, version 1. */
export interface StandardSchema<T = unknown> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => StandardResult<T> | Promise<StandardResult<T>>;
    readonly types?: { readonly input: unknown; readonly output: T } | undefined;
    /** Of libraries that give JSON Schema themselves. */
    readonly jsonSchema?: { readonly input: (options: { readonly target: "draft-2020-12" }) => Record<string, unknown> } | undefined;
  };
}

/** Either. The values of a JSON Schema have no type of their own. */
export type Schema<T = unknown> = StandardSchema<T> | JsonSchema;

/** A schema that a model can be told, and that its words are held against. */
export interface CheckedSchema<T> {
  readonly jsonSchema: JsonSchema;
  check(value: unknown): Promise<Checked<T>>;
}

/** Characters that are said of all issues together. */
const maxIssueCharacters = 300;

/**
 * Reads a schema.
 *
 * Throws: `invalid_input`, naming the option, for what is no schema; `missing_config` for a Standard Schema that gives no JSON Schema
 *         where none is given beside it.
 */
export function checkedSchema<T>(who: string, option: string, schema: Schema<T>, jsonSchema?: JsonSchema): CheckedSchema<T> {
  if (isStandard(schema)) {
    const standard = schema["~standard"];
    return {
      jsonSchema: told(jsonSchema ?? givenBy(who, option, standard)),
      async check(value) {
        const result = await standard.validate(value);
        if (result.issues === undefined) return { ok: true, value: result.value };
        return failed(result.issues.map(({ message, path = [] }) => ({ message, path: path.map((step) => String(typeof step === "object" ? step.key : step)).join(".") })));
      },
    };
  }
  if (typeof schema !== "object" || schema === null || Array.isArray(schema)) throw invalidOption(who, option, "a Standard Schema or a JSON Schema", schema);
  const check = schemaCheck(who, schema);
  return {
    jsonSchema: told(jsonSchema ?? schema),
    async check(value) {
      const issues = await check(value);
      return issues.length === 0 ? { ok: true, value: value as T } : failed(issues); // the caller has named the type, a JSON Schema has none
    },
  };
}

function isStandard<T>(schema: Schema<T>): schema is StandardSchema<T> {
  return (typeof schema === "object" || typeof schema === "function") && schema !== null && "~standard" in schema;
}

function givenBy(who: string, option: string, standard: StandardSchema["~standard"]): JsonSchema {
  const { vendor, jsonSchema } = standard;
  if (jsonSchema !== undefined) return jsonSchema.input({ target: "draft-2020-12" });
  const how = vendor === "valibot" ? "wrap it in toStandardJsonSchema of @valibot/to-json-schema" : "use a version of it that does";
  throw new MillraceError("missing_config", `${who}: ${option} is a schema of ${vendor} that gives no JSON Schema: ${how}, or pass jsonSchema`);
}

/** Services want the schema itself, not which draft it is of. */
function told({ $schema: _, ...schema }: JsonSchema): JsonSchema {
  return schema;
}

function failed(issues: readonly { readonly path: string; readonly message: string }[]): Checked<never> {
  const said = issues.map(({ path, message }) => (path === "" ? message : `${path}: ${message}`)).join("; ");
  return { ok: false, issues: said.length > maxIssueCharacters ? `${said.slice(0, maxIssueCharacters)}…` : said };
}
