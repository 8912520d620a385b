/**
 * What is readonly to everybody else, while it is being made.
 *
 * @module
 */

/** The same fields, to be set. */
export type Writable<T> = { -readonly [Name in keyof T]: T[Name] };
