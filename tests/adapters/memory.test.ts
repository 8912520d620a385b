import { text } from "node:stream/consumers";
import { describe, expect, it, test } from "vitest";
import { memoryBlobStore } from "../../src/adapters/memory/index.ts";
import { blobStoreContract } from "../../src/testing/contracts/blob-store.ts";

blobStoreContract({ describe, it }, { name: "memory", open: () => memoryBlobStore() });

test("a blob store in memory has bytes of its own, also of a Buffer, whose slice is no copy", async () => {
  const store = memoryBlobStore();
  const chunk = Buffer.from("a");
  await store.put("x", [chunk]);
  chunk.fill("b");
  expect(await text(await store.get("x"))).toBe("a");
});
