/** Which records Pinecone's filters hold for, as its documentation has it, and which filters are none. */

/** How `$ne` and `$nin` take a field that is absent: the documentation does not say. */
export interface Reading {
  readonly absentDiffers: boolean;
}

type Metadata = Readonly<Record<string, unknown>>;

/** Does the filter hold? Throws for what is no filter. */
export function holds(filter: unknown, metadata: Metadata, reading: Reading): boolean {
  if (typeof filter !== "object" || filter === null || Array.isArray(filter)) throw new Error("a filter is an object");
  const entries = Object.entries(filter);
  if (entries.length === 0) throw new Error("a filter is not empty");
  return entries.map(([name, operand]: [string, unknown]) => {
    if (name === "$and" || name === "$or") {
      if (!Array.isArray(operand) || operand.length === 0) throw new Error(`${name} takes a list that is not empty`);
      const held = operand.map((inner) => holds(inner, metadata, reading)); // all of them: each must be a filter
      return name === "$and" ? held.every(Boolean) : held.some(Boolean);
    }
    if (name.startsWith("$")) throw new Error(`${name} is not supported here`);
    return testHolds(operand, Object.hasOwn(metadata, name) ? metadata[name] : undefined, reading);
  }).every(Boolean);
}

function testHolds(test: unknown, value: unknown, { absentDiffers }: Reading): boolean {
  if (typeof test !== "object" || test === null) throw new Error("an operator is needed");
  const [[operator, operand] = ["", undefined], ...others] = Object.entries(test) as [string, unknown][];
  if (others.length > 0) throw new Error("one operator a field");
  const isAbsent = value === undefined;
  const items: readonly unknown[] = isAbsent ? [] : Array.isArray(value) ? value : [value];
  switch (operator) {
    case "$exists":
      if (typeof operand !== "boolean") throw new Error("$exists takes a boolean");
      return operand !== isAbsent;
    case "$eq":
    case "$ne":
      if (!["string", "number", "boolean"].includes(typeof operand)) throw new Error(`${operator} takes a string, a number or a boolean`);
      if (operator === "$eq") return items.includes(operand);
      return isAbsent ? absentDiffers : !items.includes(operand);
    case "$in":
    case "$nin": {
      if (!Array.isArray(operand) || operand.length === 0 || operand.length > 10_000) throw new Error(`${operator} takes a list of 1 to 10,000`);
      const types = new Set(operand.map((item) => typeof item));
      if (types.size > 1 || !(types.has("string") || types.has("number"))) throw new Error(`${operator} takes strings or numbers`);
      if (operator === "$in") return items.some((item) => operand.includes(item));
      return isAbsent ? absentDiffers : !items.some((item) => operand.includes(item));
    }
    case "$gt":
    case "$gte":
    case "$lt":
    case "$lte":
      if (typeof operand !== "number") throw new Error(`${operator} takes a number`);
      return items.some((item) => typeof item === "number" && within(item, operator, operand));
    default:
      throw new Error(`no operator ${operator}`);
  }
}

function within(item: number, operator: "$gt" | "$gte" | "$lt" | "$lte", bound: number): boolean {
  if (operator === "$gt") return item > bound;
  if (operator === "$gte") return item >= bound;
  return operator === "$lt" ? item < bound : item <= bound;
}
