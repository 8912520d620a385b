/**
 * What has changed since the last run.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { derive, each, isUri, type Processor, type VectorStore } from "millrace";
import { files } from "millrace/adapters/files";

/** Of how documents are read: raise it, and all of them are read again. */
const version = "1";

/**
 * Lets the files by that are not stored as they are now, with their hash in `metadata.fileHash`.
 *
 * A file is stored whole or not at all, so one chunk with the hash says that all of it is there.
 */
export function changedFiles(root: string, store: VectorStore, onUnchanged: () => void): Processor {
  const documents = files({ root });
  return each(
    async (part, { signal }) => {
      const key = isUri(part) ? documents.keyOf(part.uri) : undefined;
      if (key === undefined) return part;
      const hash = createHash("sha256").update(`${version}\n${key}\n`);
      for await (const chunk of await documents.get(key, { signal })) hash.update(chunk);
      const fileHash = hash.digest("hex");
      if ((await store.count({ eq: ["fileHash", fileHash] }, { signal })) === 0) return derive(part, { metadata: { ...part.metadata, fileHash } });
      onUnchanged();
      return undefined;
    },
    { match: isUri, name: "changed" },
  );
}
