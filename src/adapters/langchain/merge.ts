/**
 * Deltas of blocks as whole blocks, by the rules of LangChain's own chunks: those with the same index and type are one.
 *
 * Source: @langchain/core, messages/base.ts (`_mergeDicts`, `_mergeLists`)
 *
 * @module
 */
import { type Shape, shapeOf } from "../../wire/json-shape.ts";

/** Texts that name something; all other texts go on where the one before ended. */
const names: ReadonlySet<string> = new Set(["type", "id", "name", "format", "output_version", "model_provider"]);

/** Both, the second behind the first. */
export function mergeFields(first: Shape, second: Shape): Shape {
  const merged: Record<string, unknown> = { ...first };
  for (const [name, value] of Object.entries(second)) {
    if (value === undefined || value === null) continue;
    const before = Object.hasOwn(merged, name) ? merged[name] : undefined;
    const [a, b] = [shapeOf(before), shapeOf(value)];
    if (typeof before === "string" && typeof value === "string") merged[name] = names.has(name) ? value || before : before + value;
    else if (Array.isArray(before) && Array.isArray(value)) merged[name] = mergeBlocks([...(before as unknown[]), ...(value as unknown[])]);
    else merged[name] = a !== undefined && b !== undefined ? mergeFields(a, b) : value;
  }
  return merged;
}

/** Blocks in the order in which they began; what has no index stands for itself. */
export function mergeBlocks(deltas: readonly unknown[]): unknown[] {
  const blocks: unknown[] = [];
  for (const delta of deltas) {
    const next = shapeOf(delta);
    const at = next?.index === undefined ? -1 : blocks.findIndex((block) => isSame(shapeOf(block), next));
    const before = at < 0 ? undefined : shapeOf(blocks[at]);
    if (before === undefined || next === undefined) blocks.push(delta);
    else blocks[at] = mergeFields(before, next);
  }
  return blocks;
}

function isSame(block: Shape | undefined, next: Shape | undefined): boolean {
  return block !== undefined && next !== undefined && block.index === next.index && block.type === next.type;
}
