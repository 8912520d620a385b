/**
 * Reading an error that somebody else made, field by field.
 *
 * @module
 */

/** A field, its own or of its class; undefined where there is none or reading it throws. */
export function fieldOf(value: unknown, name: string): unknown {
  if ((typeof value !== "object" && typeof value !== "function") || value === null) return undefined;
  try {
    return (value as Readonly<Record<string, unknown>>)[name]; // any object can be asked for any field
  } catch {
    return undefined; // a getter of somebody else's
  }
}

/** A field that is text with something in it. */
export function textOf(value: unknown, name: string): string | undefined {
  const field = fieldOf(value, name);
  return typeof field === "string" && field !== "" ? field : undefined;
}

/** A field that is a whole number. */
export function numberOf(value: unknown, name: string): number | undefined {
  const field = fieldOf(value, name);
  return typeof field === "number" && Number.isSafeInteger(field) ? field : undefined;
}
