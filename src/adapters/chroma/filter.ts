/**
 * Filters as Chroma's `where`.
 *
 * Source: https://docs.trychroma.com/docs/querying-collections/metadata-filtering, and what its server answers: comparisons hold within
 * one type only, `$ne` and `$nin` hold for records without the field, and whole numbers that are stored are compared with the whole part
 * of a fraction, so that 1 counts as equal to 1.5.
 *
 * @module
 */
import type { FilterValue, VectorFilter } from "../../kinds/vector-filter.ts";
import { numbersKey, toKey } from "./rows.ts";

/** A condition as the server takes it. */
export type ChromaWhere = Readonly<Record<string, unknown>>;

/** Holds for every record: none has such a key. Only a deletion needs it, which is refused without a condition. */
export const always: ChromaWhere = { "millrace:never": { $ne: "" } };

/** Conditions side by side: SQLite, below the server, gives up at an expression 1,000 deep, and a long list is one. */
const maxConditions = 50;

type Condition = ChromaWhere | boolean;
type Range = "$gt" | "$gte" | "$lt" | "$lte";

/** The filter as a condition; `true` and `false` where the records do not matter, for which there is no condition. */
export function toWhere(filter: VectorFilter): Condition {
  return compile(filter, false);
}

/** There is no `$not`, so negation is carried down to the comparisons. */
function compile(node: VectorFilter, negated: boolean): Condition {
  if ("not" in node) return compile(node.not, !negated);
  if ("and" in node) return joined(node.and.map((inner) => compile(inner, negated)), negated ? "$or" : "$and");
  if ("or" in node) return joined(node.or.map((inner) => compile(inner, negated)), negated ? "$and" : "$or");
  if ("eq" in node) return equal(...node.eq, negated);
  if ("ne" in node) return equal(...node.ne, !negated);
  if ("in" in node) return among(...node.in, negated);
  if ("gt" in node) return ranged(...node.gt, "$gt", "$lte", negated);
  if ("gte" in node) return ranged(...node.gte, "$gte", "$lt", negated);
  if ("lt" in node) return ranged(...node.lt, "$lt", "$gte", negated);
  return ranged(...node.lte, "$lte", "$gt", negated);
}

function equal(field: string, value: FilterValue, negated: boolean): Condition {
  const [is, differs] = negated ? ["$ne", "$eq"] : ["$eq", "$ne"];
  if (!isFraction(value)) return compared(field, is, value);
  return joined([compared(field, is, value), compared(field, differs, Math.trunc(value))], negated ? "$or" : "$and");
}

/** A list must be of one type, and whole numbers of 64 bits are another type than all other numbers. */
function among(field: string, values: readonly FilterValue[], negated: boolean): Condition {
  const lists = new Map<string, FilterValue[]>();
  for (const value of values) {
    if (isFraction(value)) continue;
    const type = typeof value === "number" && Math.abs(value) < 2 ** 63 ? "integer" : typeof value;
    const list = lists.get(type);
    if (list === undefined) lists.set(type, [value]);
    else list.push(value);
  }
  const listed = [...lists.values()].map((list) => compared(field, negated ? "$nin" : "$in", list));
  const fractions = values.filter(isFraction).map((value) => equal(field, value, negated));
  return joined([...listed, ...fractions], negated ? "$and" : "$or");
}

/** The opposite of a range holds for all that is no number too, which the list of numeric fields tells. */
function ranged(field: string, value: number, range: Range, opposite: Range, negated: boolean): Condition {
  if (!negated) return within(field, value, range);
  return joined([within(field, value, opposite), { [numbersKey]: { $not_contains: toKey(field) } }], "$or");
}

/** Of a fraction's two neighbours the server knows the one nearer to 0: only the ranges that end there are as they should be. */
function within(field: string, value: number, range: Range): Condition {
  const right = value > 0 ? ["$gt", "$lte"] : ["$gte", "$lt"];
  if (!isFraction(value) || right.includes(range)) return compared(field, range, value);
  if (range === "$gte") return joined([compared(field, "$gt", value), equal(field, value, false)], "$or");
  if (range === "$lte") return joined([compared(field, "$lt", value), equal(field, value, false)], "$or");
  return joined([compared(field, range === "$gt" ? "$gte" : "$lte", value), equal(field, value, true)], "$and");
}

function isFraction(value: FilterValue): value is number {
  return typeof value === "number" && !Number.isInteger(value);
}

function compared(field: string, operator: string, operand: unknown): ChromaWhere {
  return { [toKey(field)]: { [operator]: operand } };
}

/** Fewer than two conditions are refused by the server. */
function joined(conditions: readonly Condition[], operator: "$and" | "$or"): Condition {
  const decisive = operator === "$or";
  if (conditions.includes(decisive)) return decisive;
  const open = conditions.filter((it) => typeof it !== "boolean");
  const [first] = open;
  if (first === undefined) return !decisive;
  if (open.length === 1) return first;
  if (open.length <= maxConditions) return { [operator]: open };
  const groups = Array.from({ length: Math.ceil(open.length / maxConditions) }, (_, at) => open.slice(at * maxConditions, (at + 1) * maxConditions));
  return joined(groups.map((group) => joined(group, operator)), operator);
}
