/**
 * Records, filters and hostile names for the contract of vector stores.
 *
 * @module
 */
import type { FilterValue, VectorFilter } from "../../kinds/vector-filter.ts";
import type { VectorAbility, VectorRecord } from "../../kinds/vector-store.ts";

/** A few records whose metadata differ in what filters look at. */
export const library: readonly VectorRecord[] = [
  { id: "one", vector: Float32Array.of(1, 0, 0), metadata: { lang: "de", year: 1990, draft: false, mixed: "1" } },
  { id: "two", vector: Float32Array.of(0.9, 0.1, 0), metadata: { lang: "de", year: 2010, draft: true, mixed: 1 } },
  { id: "three", vector: Float32Array.of(0.8, 0.2, 0), metadata: { lang: "en", year: 2024.5, draft: false, mixed: true } },
  { id: "four", vector: Float32Array.of(0.7, 0.3, 0), metadata: { lang: "", year: -3, mixed: "true" } },
  { id: "five", vector: Float32Array.of(0.6, 0.4, 0), metadata: {} },
];

/** A filter, and which of the library it lets through. */
export interface FilterCase {
  readonly name: string;
  readonly filter: VectorFilter;
  readonly expected: readonly string[];
  readonly needs?: VectorAbility;
}

export const filterCases: readonly FilterCase[] = [
  { name: "eq on text, number and boolean", filter: { and: [{ eq: ["lang", "de"] }, { eq: ["year", 1990] }, { eq: ["draft", false] }] }, expected: ["one"] },
  { name: "eq on empty text", filter: { eq: ["lang", ""] }, expected: ["four"] },
  { name: "eq holds within one type only: text", filter: { eq: ["mixed", "1"] }, expected: ["one"] },
  { name: "eq holds within one type only: number", filter: { eq: ["mixed", 1] }, expected: ["two"] },
  { name: "eq holds within one type only: boolean", filter: { eq: ["mixed", true] }, expected: ["three"] },
  { name: "eq on a field that nobody has", filter: { eq: ["never", "x"] }, expected: [] },
  { name: "in", filter: { in: ["lang", ["de", "fr"]] }, expected: ["one", "two"] },
  { name: "in with values of several types", filter: { in: ["mixed", ["1", 1]] }, expected: ["one", "two"] },
  { name: "in with no values", filter: { in: ["lang", []] }, expected: [] },
  { name: "gt and lte", filter: { and: [{ gt: ["year", 1990] }, { lte: ["year", 2024.5] }] }, expected: ["two", "three"] },
  { name: "gte and lt", filter: { and: [{ gte: ["year", 1990] }, { lt: ["year", 2024.5] }] }, expected: ["one", "two"] },
  { name: "negative numbers", filter: { lt: ["year", 0] }, expected: ["four"] },
  { name: "ranges pass over text and booleans", filter: { gte: ["mixed", -1_000] }, expected: ["two"] },
  { name: "or", filter: { or: [{ eq: ["lang", "en"] }, { eq: ["draft", true] }] }, expected: ["two", "three"] },
  { name: "names of prototypes are names like others", filter: { or: [{ eq: ["__proto__", "x"] }, { eq: ["constructor", "x"] }, { eq: ["lang", "__proto__"] }] }, expected: [] },
  { name: "an empty and is true", filter: { and: [] }, expected: ["one", "two", "three", "four", "five"] },
  { name: "an empty or is false", filter: { or: [] }, expected: [] },
  { name: "ne where the field is there", filter: { and: [{ in: ["lang", ["de", "en"]] }, { ne: ["lang", "de"] }] }, expected: ["three"] },
  { name: "ne where it is absent or of another type", filter: { ne: ["mixed", 1] }, expected: ["one", "three", "four", "five"], needs: "not" },
  { name: "not over a comparison", filter: { not: { gt: ["year", 2000] } }, expected: ["one", "four", "five"], needs: "not" },
  { name: "not over and, or and not", filter: { not: { or: [{ and: [{ eq: ["lang", "de"] }, { eq: ["draft", true] }] }, { not: { gte: ["year", 0] } }] } }, expected: ["one", "three"], needs: "not" },
];

/** Ids, field names and texts that would be something else to a careless store. */
export const hostileTexts: readonly string[] = [
  "'; drop table records; --",
  'quote " double',
  "back\\slash",
  "$or",
  "$gt",
  "a.b.c",
  "a'b\"c`d",
  "{\"$ne\": 1}",
  "$1 $2 %s :name ? ?? ?|",
  "((a & b) | !c:*) <-> 'd'",
  "toString",
  "日本語 👩‍👩‍👧 ünïcode e\u0301",
  "line\nbreak\ttab",
  "-1",
  "null",
];

/** One comparison at the bottom of so many levels. */
export function deep(levels: number): VectorFilter {
  let filter: VectorFilter = { eq: ["lang", "de"] };
  for (let level = 1; level < levels; level += 1) filter = level % 2 === 0 ? { and: [filter] } : { or: [filter] };
  return filter;
}

/** What looks like a filter and is none. Cast: that is what untyped callers send. */
export const malformedFilters: readonly VectorFilter[] = [
  {},
  [],
  "lang = 'de'",
  { lang: "de" },
  { eq: ["lang", "de"], ne: ["lang", "en"] },
  { eq: { lang: "de" } },
  { eq: ["lang"] },
  { eq: ["lang", null] },
  { eq: ["lang", { $ne: "de" }] },
  { eq: ["", "de"] },
  { eq: ["lang", "\ud800"] },
  { gt: ["year", "2000"] },
  { gt: ["year", NaN] },
  { in: ["lang", "de"] },
  { in: ["lang", Array.from({ length: 1_001 }, (_, i): FilterValue => i)] },
  { and: { eq: ["lang", "de"] } },
  { $or: [] },
  { __proto__: null, or: [{ regex: ["lang", ".*"] }] },
] as unknown as readonly VectorFilter[];

/** The same numbers each time: a multiplicative generator (Park, Miller 1988), from -1 to 1. */
export function randomVectors(count: number, dimensions: number, seed = 1): Float32Array[] {
  let state = seed;
  const next = (): number => {
    state = (state * 48_271) % 2_147_483_647;
    return (state / 2_147_483_647) * 2 - 1;
  };
  return Array.from({ length: count }, () => Float32Array.from({ length: dimensions }, next));
}
