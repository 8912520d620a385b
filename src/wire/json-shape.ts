/**
 * Reading JSON of a service, field by field, without trusting any of it.
 *
 * @module
 */

/** An object whose fields are yet to be looked at. */
export type Shape = Readonly<Record<string, unknown>>;

/** The value, if it is an object. */
export function shapeOf(value: unknown): Shape | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Shape) : undefined; // any object can be asked for any field
}

/** The items, if it is an array. */
export function itemsOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** The value, if it is text with something in it. */
export function wordsOf(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** The value, if it can be a count: finite and not negative. */
export function countOf(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : undefined;
}

/** An object without the keys whose value is undefined: services and their clients refuse those. */
export function compact<T extends object>(fields: { readonly [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T; // what is left is of T
}
