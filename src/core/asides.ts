/**
 * Substreams that are about an answer and not part of the conversation: no model is shown them.
 *
 * @module
 */
const asides: ReadonlySet<string> = new Set([
  "status",
  "debug",
  "sources", // citations, and what a service did by itself
  "tools", // what tools streamed on the way to their results
  "partial", // what comes whole later
]);

/** Is a substream beside the conversation? */
export function isAside(substream: string): boolean {
  return asides.has(substream);
}
