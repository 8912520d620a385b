/** What the killed process and its test agree on. */
import { chroma } from "../../../src/adapters/chroma/index.ts";
import { pgvector } from "../../../src/adapters/pgvector/index.ts";
import { type Part, text } from "../../../src/index.ts";
import type { VectorStore } from "../../../src/kinds/vector-store.ts";

export const dimensions = 28;

export function openStore(kind: string, url: string, name: string): VectorStore {
  return kind === "chroma" ? chroma({ baseUrl: url, collection: name, dimensions }) : pgvector({ connectionString: url, table: name, dimensions, index: "none" }); // exact: each row must be found
}

/** Five sources of one to eight chunks, another number in each version; one of them is there in every other version only. */
export function contentsOf(version: number): Part[] {
  return [0, 1, 2, 3, 4].flatMap((source) =>
    source === 4 && version % 2 === 0
      ? []
      : Array.from({ length: 1 + ((version + source) % 8) }, (_, chunk) =>
          text(`source ${source} in version ${version}, chunk ${chunk}`, { metadata: { source: `s${source}`, version } }),
        ),
  );
}
