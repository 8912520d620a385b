import { describe, expect, test } from "vitest";
import { isReset, reset } from "../../src/core/reset.ts";
import { json, type Part, run, status, text } from "../../src/index.ts";

const identity = (input: AsyncIterable<Part>): AsyncIterable<Part> => input;

describe("R4: a reset takes back what came before it", () => {
  const parts = (): Part[] => [status("s"), text("1", { substream: "draft" }), text("12"), json(9), reset(1), text("3"), text("4", { substream: "draft" })];

  test("text() of any substream", async () => {
    expect(await run(identity, parts()).text()).toBe("3");
    expect(await run(identity, parts()).text({ substream: "draft" })).toBe("4");
  });

  test("json(), values and text alike", async () => {
    expect(await run(identity, parts()).json()).toBe(3);
    expect(await run(identity, [json(1), json(2), reset(1), json(3)]).json()).toBe(3);
  });

  test("collect() keeps what is reserved, and drops the reset itself", async () => {
    expect((await run(identity, parts()).collect()).map((part) => (part.kind === "text" ? part.text : part.kind))).toEqual(["s", "3", "4"]);
  });

  test("whoever iterates sees it, in its place", async () => {
    const seen: Part[] = [];
    for await (const part of run(identity, parts())) seen.push(part);
    expect(seen.findIndex(isReset)).toBe(4);
  });

  test("it is told by its mime type, not by its value", () => {
    expect(isReset(json({ epoch: 1 }))).toBe(false);
    expect(isReset(json({ epoch: 1 }, { mimeType: "Application/vnd.millrace.reset+JSON; v=1" }))).toBe(true);
  });
});
