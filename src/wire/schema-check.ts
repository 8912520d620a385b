/**
 * JSON Schema as a check, by a package that is loaded at first use.
 *
 * @module
 */
import { lazyClient } from "./sdk.ts";

/** A value is of the schema, or these are the places where it is not. */
export type SchemaIssues = readonly { readonly path: string; readonly message: string }[];

interface Validator {
  validate(value: unknown): { readonly valid: boolean; readonly errors: readonly { readonly instanceLocation: string; readonly error: string }[] };
}

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
    // An issue of a field comes again as one of each object around it; the innermost says it best.
    const places = errors.map(({ instanceLocation }) => instanceLocation);
    const innermost = errors.filter(({ instanceLocation: at }) => !places.some((other) => other.startsWith(`${at}/`)));
    // A property that does not fit is one that `additionalProperties: false` does not know either.
    const meant = innermost.filter(({ instanceLocation: at, error }) => error !== notAllowed || !innermost.some((other) => other.instanceLocation === at && other.error !== notAllowed));
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
