/** Metadata and filters over them, at random: few names and values, so that they meet. */
import fc from "fast-check";
import type { FilterValue, VectorFilter } from "../../src/kinds/vector-filter.ts";

export const propertyRuns: number = Number(process.env["PROPERTY_RUNS"] ?? 200);

const field = fc.constantFrom("lang", "a.b", 'q"\\%22', "$or", "~more", "__proto__");
const number = fc.constantFrom(-1, 0, 0.5, 1, 2, 1e21);
const value: fc.Arbitrary<FilterValue> = fc.oneof(fc.constantFrom("", "1", "de", "$ne", "true"), number, fc.boolean());
const other = fc.constantFrom<unknown>(null, ["de", "1"], { $ne: "de" }, []);

/** Metadata as records have them: what filters see, and what they do not. */
export const someMetadata: fc.Arbitrary<Readonly<Record<string, unknown>>> = fc
  .uniqueArray(fc.tuple(field, fc.oneof({ weight: 3, arbitrary: value }, other)), { selector: ([name]) => name, maxLength: 4 })
  .map((entries) => Object.fromEntries(entries) as Readonly<Record<string, unknown>>);

/** Any filter, a few levels deep. */
export const someFilter: fc.Arbitrary<VectorFilter> = fc.letrec<{ filter: VectorFilter }>((tie) => ({
  filter: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.tuple(field, value).map((eq): VectorFilter => ({ eq })),
    fc.tuple(field, value).map((ne): VectorFilter => ({ ne })),
    fc.tuple(field, fc.array(value, { maxLength: 3 })).map((oneOf): VectorFilter => ({ in: oneOf })),
    fc.tuple(field, number).map((gt): VectorFilter => ({ gt })),
    fc.tuple(field, number).map((gte): VectorFilter => ({ gte })),
    fc.tuple(field, number).map((lt): VectorFilter => ({ lt })),
    fc.tuple(field, number).map((lte): VectorFilter => ({ lte })),
    fc.array(tie("filter"), { maxLength: 3 }).map((and): VectorFilter => ({ and })),
    fc.array(tie("filter"), { maxLength: 3 }).map((or): VectorFilter => ({ or })),
    tie("filter").map((not): VectorFilter => ({ not })),
  ),
})).filter;
