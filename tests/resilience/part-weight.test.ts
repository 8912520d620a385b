import { expect, test } from "vitest";
import { bytes, finish, text } from "../../src/index.ts";
import { weightOf } from "../../src/resilience/part-weight.ts";

test("a part that is held counts for its content and some for itself, so that a million empty ones are not free", () => {
  expect([text(""), finish({ reason: "stop" }), text("ä"), bytes(new Uint8Array(1_000), "image/png")].map(weightOf)).toEqual([32, 32, 34, 1_032]);
});
