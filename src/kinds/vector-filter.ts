/**
 * Filters of the vector store kind: a small typed tree, compiled by each store, evaluated here for those in memory.
 *
 * A filter is plain data, so it survives JSON. Field names and values are data too: nothing in them is ever an operator.
 *
 * @module
 */
import { invalidOption, MillraceError, received } from "../core/errors.ts";
import type { Metadata } from "../core/part.ts";

/** What a field is compared with. */
export type FilterValue = string | number | boolean;

/**
 * Which records count. A comparison holds only between values of one type; a field that is absent, `null`, a list or an object
 * equals nothing, so that `eq`, `in`, `gt`, `gte`, `lt`, `lte` are false for it and `ne` is true. `not` turns what it holds around.
 * Ranges compare numbers. An empty `and` is true, an empty `or` or list of `in` is false.
 *
 * @example
 * const recent: VectorFilter = { and: [{ eq: ["lang", "de"] }, { gte: ["year", 2020] }, { not: { in: ["kind", ["draft", "spam"]] } }] };
 * await using store = memoryVectorStore({ dimensions: 1 });
 * await store.upsert([{ id: "a", vector: Float32Array.of(1), metadata: { lang: "de", year: 2024 } }]);
 * console.log((await store.query({ vector: Float32Array.of(1), limit: 5, filter: recent })).length); // 1
 */
export type VectorFilter =
  | { readonly eq: readonly [field: string, value: FilterValue] }
  | { readonly ne: readonly [field: string, value: FilterValue] }
  | { readonly in: readonly [field: string, values: readonly FilterValue[]] }
  | { readonly gt: readonly [field: string, value: number] }
  | { readonly gte: readonly [field: string, value: number] }
  | { readonly lt: readonly [field: string, value: number] }
  | { readonly lte: readonly [field: string, value: number] }
  | { readonly and: readonly VectorFilter[] }
  | { readonly or: readonly VectorFilter[] }
  | { readonly not: VectorFilter };

/** Levels of nesting: as many as parts may have. */
const maxDepth = 64;
/** Comparisons and values in one filter: more is a list to join with, not a filter. */
const maxTerms = 1_000;
/** Characters of a field name. */
const maxFieldChars = 256;

const operators: ReadonlySet<string> = new Set(["eq", "ne", "in", "gt", "gte", "lt", "lte", "and", "or", "not"]);

/** Refuses with `invalid_input` what is no filter, is nested deeper than 64 levels, or has more than 1000 terms. */
export function checkFilter(who: string, filter: unknown): asserts filter is VectorFilter {
  let terms = 0;
  const count = (added: number): void => {
    terms += added;
    if (terms > maxTerms) throw new MillraceError("invalid_input", `${who}: filter has more than ${maxTerms} terms`);
  };
  const walk = (node: unknown, depth: number): void => {
    if (depth > maxDepth) throw new MillraceError("invalid_input", `${who}: filter is nested deeper than ${maxDepth} levels`);
    count(1);
    if (typeof node !== "object" || node === null || Array.isArray(node)) throw invalidOption(who, "filter", "an object with one operator", node);
    const [entry, ...others] = Object.entries(node as Record<string, unknown>);
    if (entry === undefined || others.length > 0 || !operators.has(entry[0])) {
      throw invalidOption(who, "filter", `an object with one of ${[...operators].join(" ")}`, node);
    }
    const [operator, operand] = entry;
    if (operator === "not") return walk(operand, depth + 1);
    if (!Array.isArray(operand)) throw invalidOption(who, `filter ${operator}`, "a list", operand);
    if (operator === "and" || operator === "or") {
      for (const inner of operand) walk(inner, depth + 1);
      return;
    }
    if (operand.length !== 2) throw invalidOption(who, `filter ${operator}`, "a field and a value", operand);
    const [field, value]: readonly unknown[] = operand;
    if (typeof field !== "string" || field === "" || field.length > maxFieldChars || !field.isWellFormed()) {
      throw invalidOption(who, `filter ${operator}`, `about a field named by 1 to ${maxFieldChars} characters`, field);
    }
    if (operator === "in") {
      if (!Array.isArray(value)) throw invalidOption(who, `filter in of ${field}`, "a list of values", value);
      count(value.length);
      for (const item of value) requireValue(who, field, item);
    } else if (operator === "eq" || operator === "ne") requireValue(who, field, value);
    else if (typeof value !== "number" || !Number.isFinite(value)) throw invalidOption(who, `filter ${operator} of ${field}`, "a finite number", value);
  };
  walk(filter, 1);
}

function requireValue(who: string, field: string, value: unknown): void {
  if (typeof value === "boolean" || (typeof value === "number" && Number.isFinite(value))) return;
  if (typeof value === "string" && value.isWellFormed()) return;
  throw new MillraceError("invalid_input", `${who}: filter value of ${received(field)} must be a string, a finite number or a boolean, got ${received(value)}`);
}

/** Does the filter hold for this metadata? The filter has been checked. */
export function filterHolds(filter: VectorFilter, metadata: Metadata): boolean {
  if ("and" in filter) return filter.and.every((inner) => filterHolds(inner, metadata));
  if ("or" in filter) return filter.or.some((inner) => filterHolds(inner, metadata));
  if ("not" in filter) return !filterHolds(filter.not, metadata);
  if ("eq" in filter) return fieldOf(metadata, filter.eq[0]) === filter.eq[1];
  if ("ne" in filter) return fieldOf(metadata, filter.ne[0]) !== filter.ne[1];
  if ("in" in filter) return filter.in[1].some((value) => value === fieldOf(metadata, filter.in[0]));
  if ("gt" in filter) return compared(metadata, filter.gt, (met, value) => met > value);
  if ("gte" in filter) return compared(metadata, filter.gte, (met, value) => met >= value);
  if ("lt" in filter) return compared(metadata, filter.lt, (met, value) => met < value);
  return compared(metadata, filter.lte, (met, value) => met <= value);
}

function compared(metadata: Metadata, [field, value]: readonly [string, number], holds: (met: number, value: number) => boolean): boolean {
  const met = fieldOf(metadata, field);
  return typeof met === "number" && holds(met, value);
}

/** Only what the metadata itself holds: `__proto__` and `constructor` are names like others. */
function fieldOf(metadata: Metadata, field: string): unknown {
  return Object.hasOwn(metadata, field) ? metadata[field] : undefined;
}
