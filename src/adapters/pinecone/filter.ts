/**
 * Filters as Pinecone has them, over the flat metadata of a record.
 *
 * What an operator means for a field that is absent the documentation does not say, so every negation asks for that too, and is built
 * of what holds instead. Constants are folded away: there is no filter that is always true, or never.
 * Source: https://docs.pinecone.io/guides/search/filter-by-metadata
 *
 * @module
 */
import type { FilterValue, VectorFilter } from "../../kinds/vector-filter.ts";

/** The service's filter: operators in the place of values, and two that join. */
export type PineconeFilter = { readonly [field: string]: PineconeTest | readonly PineconeFilter[] };

/** One operator and what a field is compared with. */
export type PineconeTest = Readonly<Record<string, FilterValue | readonly (string | number)[]>>;

/** The field that lists which others hold text: those a range says nothing of. A list matches by each of its items. */
export const textFields = "~strings";

/** The filter, or what it always comes to. */
export function toFilter(filter: VectorFilter): PineconeFilter | boolean {
  return compiled(filter, true);
}

/** `holds`: for records that the filter lets through; otherwise for all others. */
function compiled(filter: VectorFilter, holds: boolean): PineconeFilter | boolean {
  if ("not" in filter) return compiled(filter.not, !holds);
  if ("and" in filter) return joined(filter.and.map((inner) => compiled(inner, holds)), holds);
  if ("or" in filter) return joined(filter.or.map((inner) => compiled(inner, holds)), !holds);
  if ("eq" in filter) return equal(...filter.eq, holds);
  if ("ne" in filter) return equal(...filter.ne, !holds);
  if ("in" in filter) return oneOf(...filter.in, holds);
  if ("gt" in filter) return ranged(filter.gt, "$gt", "$lte", holds);
  if ("gte" in filter) return ranged(filter.gte, "$gte", "$lt", holds);
  return "lt" in filter ? ranged(filter.lt, "$lt", "$gte", holds) : ranged(filter.lte, "$lte", "$gt", holds);
}

/** All of them, or any of them. */
function joined(filters: readonly (PineconeFilter | boolean)[], all: boolean): PineconeFilter | boolean {
  if (filters.includes(!all)) return !all;
  const left = filters.filter((filter) => typeof filter !== "boolean");
  const [first] = left;
  if (first === undefined) return all;
  return left.length === 1 ? first : { [all ? "$and" : "$or"]: left };
}

function equal(field: string, value: FilterValue, holds: boolean): PineconeFilter {
  const name = fieldName(field);
  return holds ? { [name]: { $eq: value } } : { $or: [absent(name), { [name]: { $ne: value } }] };
}

/** Lists hold values of one type, and no booleans. */
function oneOf(field: string, values: readonly FilterValue[], holds: boolean): PineconeFilter | boolean {
  const name = fieldName(field);
  const words = values.filter((value) => typeof value === "string");
  const numbers = values.filter((value) => typeof value === "number");
  const tests: PineconeTest[] = [words, numbers].filter((list) => list.length > 0).map((list) => (holds ? { $in: list } : { $nin: list }));
  for (const flag of [true, false]) if (values.includes(flag)) tests.push(holds ? { $eq: flag } : { $ne: flag });
  const tested = joined(tests.map((test) => ({ [name]: test })), !holds);
  return holds || tested === true ? tested : joined([absent(name), tested], false);
}

function ranged([field, value]: readonly [string, number], operator: string, opposite: string, holds: boolean): PineconeFilter {
  const name = fieldName(field);
  if (holds) return { [name]: { [operator]: value } };
  return { $or: [absent(name), { [name]: { [opposite]: value } }, { [name]: { $eq: true } }, { [name]: { $eq: false } }, { [textFields]: { $in: [name] } }] };
}

function absent(name: string): PineconeFilter {
  return { [name]: { $exists: false } };
}

/** A name as the service takes it: none begins with `$`, and those that begin with `~` are ours. */
export function fieldName(field: string): string {
  return field === "" || field.startsWith("$") || field.startsWith("~") ? `~${field}` : field;
}

/** The field as the caller knows it; undefined for one of ours. */
export function fieldOfName(name: string): string | undefined {
  if (!name.startsWith("~")) return name;
  return name === "~" || name.startsWith("~$") || name.startsWith("~~") ? name.slice(1) : undefined;
}
