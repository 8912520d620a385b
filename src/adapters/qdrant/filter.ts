/**
 * Filters as Qdrant has them, over the scalars of a record's metadata.
 *
 * Source: https://qdrant.tech/documentation/concepts/filtering/, and for keys `lib/segment/src/json_path/parse.rs` of the server
 *
 * @module
 */
import type { FilterValue, VectorFilter } from "../../kinds/vector-filter.ts";

/** What is used of the service's conditions. */
export type QdrantCondition =
  | { readonly key: string; readonly match: { readonly value: string | boolean } | { readonly any: readonly string[] } }
  | { readonly key: string; readonly range: QdrantRange }
  | { readonly has_id: readonly string[] }
  | QdrantFilter;

/** Any of the numbers within the bounds. */
export interface QdrantRange {
  readonly gt?: number;
  readonly gte?: number;
  readonly lt?: number;
  readonly lte?: number;
}

/** Conditions put together. */
export interface QdrantFilter {
  readonly must?: readonly QdrantCondition[];
  readonly should?: readonly QdrantCondition[];
  readonly must_not?: readonly QdrantCondition[];
}

/** True of no record. An empty `should` would be true of all. */
const nothing: QdrantCondition = { has_id: [] };

/** The filter; one that holds always still says so, since the service takes an empty one for a mistake or for everything, by version. */
export function toFilter(filter: VectorFilter): QdrantFilter {
  const condition = toCondition(filter);
  return isFilter(condition) ? condition : { must: [condition] };
}

function toCondition(filter: VectorFilter): QdrantCondition {
  if ("and" in filter) return allOf(filter.and.map(toCondition));
  if ("or" in filter) return anyOf(filter.or.map(toCondition));
  if ("not" in filter) return noneOf(toCondition(filter.not));
  if ("eq" in filter) return equals(...filter.eq);
  if ("ne" in filter) return { must_not: [equals(...filter.ne)] };
  if ("in" in filter) return oneOf(...filter.in);
  if ("gt" in filter) return within(filter.gt, "gt");
  if ("gte" in filter) return within(filter.gte, "gte");
  return "lt" in filter ? within(filter.lt, "lt") : within(filter.lte, "lte");
}

/**
 * What is joined alike stands in one list, and a filter holds three of them: each level of ours takes one or two of JSON, of which the
 * server reads 128.
 */
function allOf(conditions: readonly QdrantCondition[]): QdrantCondition {
  const must: QdrantCondition[] = [];
  const must_not: QdrantCondition[] = [];
  let should: readonly QdrantCondition[] = [];
  for (const condition of conditions) {
    if (!isFilter(condition)) must.push(condition);
    else if (condition.should !== undefined && should.length > 0) must.push(condition); // there is one list of alternatives
    else {
      must.push(...(condition.must ?? []));
      must_not.push(...(condition.must_not ?? []));
      should = condition.should ?? should;
    }
  }
  const [first] = must;
  if (first !== undefined && must.length === 1 && must_not.length + should.length === 0) return first;
  if (conditions.length === 0) return { must_not: [nothing] };
  return { ...(must.length === 0 ? {} : { must }), ...(should.length === 0 ? {} : { should }), ...(must_not.length === 0 ? {} : { must_not }) };
}

function anyOf(conditions: readonly QdrantCondition[]): QdrantCondition {
  const should = conditions.flatMap((condition) => (isFilter(condition) && condition.must === undefined && condition.must_not === undefined ? (condition.should ?? []) : [condition]));
  const [first] = should;
  if (first === undefined) return nothing;
  return should.length === 1 ? first : { should };
}

function noneOf(condition: QdrantCondition): QdrantCondition {
  if (!isFilter(condition) || condition.must !== undefined) return { must_not: [condition] };
  const { should, must_not } = condition;
  if (should === undefined) return anyOf(must_not ?? []);
  return must_not === undefined ? { must_not: should } : { must_not: [condition] };
}

function isFilter(condition: QdrantCondition): condition is QdrantFilter {
  return "must" in condition || "should" in condition || "must_not" in condition;
}

function equals(field: string, value: FilterValue): QdrantCondition {
  // a match takes whole numbers only, and no 1.0 for a 1
  return typeof value === "number" ? { key: keyOf(field), range: { gte: value, lte: value } } : { key: keyOf(field), match: { value } };
}

function oneOf(field: string, values: readonly FilterValue[]): QdrantCondition {
  const words = values.filter((value) => typeof value === "string");
  const others = values.filter((value) => typeof value !== "string").map((value) => equals(field, value));
  return anyOf(words.length === 0 ? others : [{ key: keyOf(field), match: { any: words } }, ...others]);
}

function within([field, value]: readonly [string, number], bound: keyof QdrantRange): QdrantCondition {
  return { key: keyOf(field), range: { [bound]: value } };
}

/** The path of a field, in quotes, so that dots and brackets in it are part of its name. */
export function keyOf(field: string): string {
  return `metadata."${fieldName(field)}"`;
}

/** The server's paths have no way to write a quote or a backslash. */
export function fieldName(field: string): string {
  return field.replace(/[%"\\]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** The field as the caller knows it. */
export function fieldOfName(name: string): string {
  return name.replace(/%(25|22|5C)/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)));
}
