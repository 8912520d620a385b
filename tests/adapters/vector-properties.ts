/**
 * What may be stored in a vector store and asked of it, as the kind allows it.
 *
 * @module
 */
import fc from "fast-check";
import type { FilterValue, VectorFilter } from "../../src/kinds/vector-filter.ts";

/** Each run asks a server. */
export const runs: number = Math.min(100, Number(process.env.PROPERTY_RUNS ?? 60));
const words = fc.string({ unit: "grapheme", maxLength: 20 });
const names = fc.oneof(fc.constantFrom("", "$or", "$gt", "#x", "~x", "~", "chroma:document", "millrace:rest", "millrace:numbers", "a.b", "a\u0000b"), words);
const safe = names.filter((name) => !["__proto__", "constructor", "prototype"].includes(name));
const scalars = fc.oneof(words, fc.boolean(), fc.double({ noNaN: true, noDefaultInfinity: true }).map((n) => n + 0), fc.integer(), fc.constantFrom(2 ** 53 - 1, 2 ** 63, -(2 ** 63), 1e20));
/** Records with names and values that a store may take for something else. */
export const anyRecord: fc.Arbitrary<{ readonly id: string; readonly text: string | undefined; readonly metadata: Record<string, unknown> }> = fc.record({
  id: fc.string({ unit: "grapheme", minLength: 1, maxLength: 60 }),
  text: fc.option(fc.string({ unit: "grapheme" }), { nil: undefined }),
  metadata: fc.dictionary(safe, fc.oneof(scalars, fc.constant(null), fc.array(words, { maxLength: 3 }), fc.dictionary(safe, scalars, { maxKeys: 2 })), { maxKeys: 5, noNullPrototype: true }),
});
const few = fc.constantFrom("a", "$b", "#c");
const values = fc.constantFrom<FilterValue>("", "x", "1", "true", true, false, 0, 1, 1.5, -2, 1e20, 2 ** 62);
/** Metadata of few names and values, so that filters meet them. */
export const anyFields: fc.Arbitrary<Record<string, unknown>> = fc.dictionary(few, fc.oneof(values, fc.constant(null), fc.array(values, { maxLength: 2 })), { noNullPrototype: true });
const range = fc.tuple(few, fc.constantFrom(0, 1, 1.25, 1.5, -0.5, -1.5, -2, 2 ** 53 - 1));
const { filter } = fc.letrec<{ filter: VectorFilter }>((tie) => ({
  filter: fc.oneof(
    { maxDepth: 4 },
    fc.record({ eq: fc.tuple(few, values) }),
    fc.record({ ne: fc.tuple(few, values) }),
    fc.record({ in: fc.tuple(few, fc.array(values, { maxLength: 4 })) }),
    fc.record({ gt: range }),
    fc.record({ gte: range }),
    fc.record({ lt: range }),
    fc.record({ lte: range }),
    fc.record({ and: fc.array(tie("filter"), { maxLength: 3 }) }),
    fc.record({ or: fc.array(tie("filter"), { maxLength: 3 }) }),
    fc.record({ not: tie("filter") }),
  ),
}));
/** Filters over the same names and values. */
export const anyFilter: fc.Arbitrary<VectorFilter> = filter;
