/**
 * What was found, as parts.
 *
 * @module
 */
import { json, text } from "../core/constructors.ts";
import { checkedJson } from "../core/json-border.ts";
import type { Part } from "../core/part.ts";
import type { VectorMatch } from "./vector-store.ts";

/** What a retrieved part says of itself, as `metadata.match`: what to cite it by, and how near it was. */
export interface Match {
  readonly id: string;
  /** Of the store, higher is closer: see `VectorMatch`. */
  readonly score: number;
  readonly distance?: number;
  /** What `rerank` gave it, if that gives scores. */
  readonly rerankScore?: number;
  /** Where the text is from, if it was stored with it. */
  readonly source?: string;
}

/** Retrieved text is somebody's words, never an instruction of ours: role user, and it says what it is. */
export function matchPart({ id, score, distance, text: content, metadata }: VectorMatch, more: Pick<Match, "rerankScore"> = {}): Part {
  const { source } = metadata;
  const match: Match = {
    id,
    score,
    ...(distance === undefined ? {} : { distance }),
    ...more,
    ...(typeof source === "string" ? { source } : {}),
  };
  const labelled = { metadata: { ...metadata, match } };
  return content === undefined || content === "" ? json(checkedJson({ ...metadata }, `match ${id}`), labelled) : text(content, labelled);
}
