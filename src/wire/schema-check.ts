/**
 * JSON Schema as a check, by a package that is loaded at first use.
 *
 * @module
 */
import { lazyClient } from "./sdk.ts";

/** A value is of the schema, or these are the places where it is not. */
export type SchemaIssues = readonly { readonly path: string; readonly message: string }[];

interface Validator {
  validate(value: unknown): { readonly valid: boolean; readonly errors: readonly { readonly instanceLocation: string; readonly keyword: string; readonly error: string }[] };
}

/** What these report is said again by the issue inside, at its own place. */
const carriers: ReadonlySet<string> = new Set(["properties", "patternProperties", "additionalProperties", "unevaluatedProperties", "items", "prefixItems", "unevaluatedItems", "additionalItems", "allOf", "$ref", "dependentSchemas", "if"]);

/** What the package says where the schema is `false`. */
const notAllowed = "False boolean schema.";

/**
 * Checks values against a schema, draft 2020-12.
 *
 * Throws: `missing_config` without the package, naming `who`.
 */
export function schemaCheck(who: string, schema: Readonly<Record<string, unknown>>): (value: unknown) => Promise<SchemaIssues> {
  const validator = lazyClient<Validator>({
    service: who,
    install: "@cfworker/json-schema@^4",
    async open() {
      const { Validator } = await import("@cfworker/json-schema");
      return new Validator(schema, "2020-12", false); // all issues, not the first: who wrote the value may mend them in one go
    },
  });
  return async (value) => {
    const { valid, errors } = (await validator.get()).validate(value);
    if (valid) return [];
    const own = errors.filter(({ keyword }) => !carriers.has(keyword));
    // A property that does not fit is one that `additionalProperties: false` does not know either.
    const meant = own.filter(({ instanceLocation: at, error }) => error !== notAllowed || !own.some((other) => other.error !== notAllowed && `${other.instanceLocation}/`.startsWith(`${at}/`)));
    return meant.map(({ instanceLocation, error }) => ({ path: pathOf(instanceLocation), message: error === notAllowed ? "is not allowed" : error }));
  };
}

/** `#/a/b~1c` as `a.b/c`. */
function pathOf(pointer: string): string {
  return pointer
    .split("/")
    .slice(1)
    .map((key) => decodeURIComponent(key).replaceAll("~1", "/").replaceAll("~0", "~"))
    .join(".");
}
