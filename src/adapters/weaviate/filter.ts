/**
 * Filters as Weaviate's own.
 *
 * Equality looks into the list of terms, so a value is of one type and field names are data. `ContainsNone` is of Weaviate 1.33.
 *
 * Source: https://docs.weaviate.io/weaviate/api/graphql/filters
 *
 * @module
 */
import { MillraceError } from "../../core/errors.ts";
import type { VectorFilter } from "../../kinds/vector-filter.ts";
import { everyTerm, fields, numberName, termOf } from "./schema.ts";

/** A filter as the client takes it. */
export interface WeaviateFilter {
  readonly operator: "And" | "Or" | "ContainsAny" | "ContainsNone" | "GreaterThan" | "GreaterThanEqual" | "LessThan" | "LessThanEqual";
  readonly filters?: WeaviateFilter[];
  readonly target?: { readonly property: string };
  readonly value: string[] | number | null;
}

type Range = "GreaterThan" | "GreaterThanEqual" | "LessThan" | "LessThanEqual";

/** By the ids that the server knows. */
export function byUuids(uuids: readonly string[]): WeaviateFilter {
  return { operator: "ContainsAny", target: { property: "_id" }, value: [...uuids] };
}

/** Has the collection this property? */
export type Known = (property: string) => Promise<boolean>;

/** The filter. A property that the collection lacks is of no record, and the server refuses to look for it. */
export function toWeaviateFilter(filter: VectorFilter, known: Known): Promise<WeaviateFilter> {
  return compile(filter, false, known);
}

async function compile(node: VectorFilter, negated: boolean, known: Known): Promise<WeaviateFilter> {
  if ("not" in node) return compile(node.not, !negated, known);
  if ("and" in node) return joined(await all(node.and, negated, known), negated ? "Or" : "And");
  if ("or" in node) return joined(await all(node.or, negated, known), negated ? "And" : "Or");
  if ("eq" in node) return terms([await termOf(...node.eq)], negated);
  if ("ne" in node) return terms([await termOf(...node.ne)], !negated);
  if ("in" in node) {
    const [field, values] = node.in;
    return terms(await Promise.all(values.map((value) => termOf(field, value))), negated);
  }
  if ("gt" in node) return ranged(...node.gt, "GreaterThan", "LessThanEqual", negated, known);
  if ("gte" in node) return ranged(...node.gte, "GreaterThanEqual", "LessThan", negated, known);
  if ("lt" in node) return ranged(...node.lt, "LessThan", "GreaterThanEqual", negated, known);
  return ranged(...node.lte, "LessThanEqual", "GreaterThan", negated, known);
}

function all(nodes: readonly VectorFilter[], negated: boolean, known: Known): Promise<WeaviateFilter[]> {
  return Promise.all(nodes.map((inner) => compile(inner, negated, known)));
}

function terms(value: string[], none: boolean): WeaviateFilter {
  if (value.length === 0) return constant(none);
  return { operator: none ? "ContainsNone" : "ContainsAny", target: { property: fields.terms }, value };
}

function constant(holds: boolean): WeaviateFilter {
  return terms([everyTerm], !holds);
}

/** The opposite of a range holds for all that is no number too: those lack the term that says so. */
async function ranged(field: string, value: number, range: Range, opposite: Range, negated: boolean, known: Known): Promise<WeaviateFilter> {
  if (Number.isInteger(value) && !Number.isSafeInteger(value)) {
    throw new MillraceError("invalid_input", `weaviate: ranges take whole numbers up to 2^53, got ${value}: the client sends them as 64 bit integers`);
  }
  const property = await numberName(field);
  if (!(await known(property))) return constant(negated);
  const within: WeaviateFilter = { operator: negated ? opposite : range, target: { property }, value };
  return negated ? joined([within, terms([await termOf(field)], true)], "Or") : within;
}

/** Of one or none there is nothing to join. */
function joined(filters: WeaviateFilter[], operator: "And" | "Or"): WeaviateFilter {
  const [first] = filters;
  if (first === undefined) return constant(operator === "And");
  return filters.length === 1 ? first : { operator, filters, value: null };
}
