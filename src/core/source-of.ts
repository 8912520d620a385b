/**
 * Where a part says it is from.
 *
 * @module
 */
import type { Part } from "./part.ts";

/**
 * The source a part says it is from: `metadata.source`, `metadata.file.path` as files have it, or `metadata.web.uri`.
 * `undefined` when it says none.
 */
export function sourceOf({ metadata: { source, file, web } }: Part): string | undefined {
  for (const place of [source, field(file, "path"), field(web, "uri")]) if (typeof place === "string" && place !== "") return place;
  return undefined;
}

function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, name) ? Reflect.get(value, name) : undefined;
}
