import { expect, test } from "vitest";
import { chunksOf } from "../../src/kinds/blob-chunks.ts";

const mebibyte = 1_048_576;

test("an abort is heard between the pieces of one large chunk, and closes the source", async () => {
  let closed = 0;
  async function* source(): AsyncGenerator<Uint8Array> {
    try {
      yield new Uint8Array(100 * mebibyte);
    } finally {
      closed += 1;
    }
  }
  const controller = new AbortController();
  const reason = new Error("enough");
  const sizes: number[] = [];
  const write = async (): Promise<void> => {
    for await (const piece of chunksOf("store", source(), { signal: controller.signal })) {
      sizes.push(piece.byteLength);
      if (sizes.length === 2) controller.abort(reason);
    }
  };
  await expect(write()).rejects.toBe(reason);
  expect([sizes, closed]).toEqual([[mebibyte, mebibyte], 1]);
});
