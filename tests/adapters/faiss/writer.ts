/**
 * Writes one version of a file after the other until it is killed; says each when it is there.
 *
 * @module
 */
import { faiss } from "../../../src/adapters/faiss/index.ts";

const store = faiss({ path: process.argv[2] ?? "", dimensions: 64 });
for (let version = Number((await store.get(["0"]))[0]?.metadata["version"] ?? 0) + 1; ; version += 1) {
  await store.upsert(Array.from({ length: 2_000 }, (_, n) => ({ id: String(n), vector: new Float32Array(64).fill(version), metadata: { version } })));
  await store.save();
  console.log(`saved ${version}`);
}
