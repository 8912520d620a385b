/** Which points Qdrant's conditions hold for, as its documentation has it. */
import type { QdrantCondition, QdrantFilter } from "../../../src/adapters/qdrant/filter.ts";

/** A point as conditions see it. */
export interface Conditioned {
  readonly id: string;
  readonly payload: unknown;
}

/** Does the filter hold? All of `must`, any of `should` unless it is empty, none of `must_not`. */
export function holds({ must = [], should = [], must_not = [] }: QdrantFilter, point: Conditioned): boolean {
  const met = (condition: QdrantCondition): boolean => conditionHolds(condition, point);
  return must.every(met) && (should.length === 0 || should.some(met)) && !must_not.some(met);
}

function conditionHolds(condition: QdrantCondition, point: Conditioned): boolean {
  if ("has_id" in condition) return condition.has_id.includes(point.id);
  if (!("key" in condition)) return holds(condition, point);
  const values = valuesAt(point.payload, pathOf(condition.key));
  if ("range" in condition) {
    const { gt = -Infinity, gte = -Infinity, lt = Infinity, lte = Infinity } = condition.range;
    return values.some((value) => typeof value === "number" && value > gt && value >= gte && value < lt && value <= lte);
  }
  const { match } = condition;
  return values.some((value) => ("any" in match ? match.any.some((one) => one === value) : match.value === value));
}

/** A list holds where any of its items does. */
function valuesAt(payload: unknown, path: readonly string[]): readonly unknown[] {
  let value = payload;
  for (const key of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return [];
    value = (value as Readonly<Record<string, unknown>>)[key];
  }
  return Array.isArray(value) ? value : [value];
}

/** `a.b."c d"`: bare keys of letters, digits, `_` and `-`; in quotes anything but quotes and backslashes. No other path is one. */
export function pathOf(key: string): readonly string[] {
  const segment = /(?:([\p{Alphabetic}\p{N}_-]+)|"([^"\\]*)")(\.|$)/uy;
  const path: string[] = [];
  for (let end = "."; end === "."; ) {
    const found = segment.exec(key);
    if (found === null) throw new Error(`Format error in JSON body: Invalid json path: '${key}'`);
    path.push(found[1] ?? found[2] ?? "");
    end = found[3] ?? "";
  }
  return path;
}
