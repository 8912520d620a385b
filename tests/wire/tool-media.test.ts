import { describe, expect, test } from "vitest";
import { image, text, toolCall, toolResult, uri } from "../../src/core/constructors.ts";
import type { Part, PartOptions } from "../../src/core/part.ts";
import { mediaBehind, mediaInside, resultText } from "../../src/wire/tool-media.ts";
import { spokenParts } from "../../src/wire/turn-input.ts";

const of = (id: string, role: PartOptions["role"] = "tool"): PartOptions => ({ ...(role === undefined ? {} : { role }), metadata: { toolResult: { id } } });
const call = (id: string): Part => toolCall({ id, name: "look", arguments: {} });
const result = (id: string): Part => toolResult({ id, name: "look", result: id });
const spoken = (...parts: readonly Part[]) => spokenParts("m", parts, "refuse", () => false);

const [a1, a2, b1] = [image(Uint8Array.of(1), "image/png", of("a")), uri("https://example.com/a.pdf", "application/pdf", of("a")), image(Uint8Array.of(2), "image/png", of("b"))];
const turn = [call("a"), call("b"), result("a"), a1, a2, result("b"), b1];

describe("media of tools", () => {
  test("belong to the result that they follow and name", () => {
    const inside = mediaInside(spoken(...turn, text("and now?")));
    expect(inside.map(({ part, media }) => [part.kind, media])).toEqual([
      ["toolCall", []],
      ["toolCall", []],
      ["toolResult", [a1, a2]],
      ["toolResult", [b1]],
      ["text", []],
    ]);
  });

  test("stand behind the last of results in a row, as the user's, where they cannot be inside", () => {
    const behind = mediaBehind(spoken(...turn, text("and now?"), call("c"), result("c")));
    expect(behind.map(({ part }) => part)).toEqual([call("a"), call("b"), result("a"), result("b"), a1, a2, b1, text("and now?"), call("c"), result("c")]);
    expect(behind.slice(4, 7).map(({ speaker }) => speaker)).toEqual(["user", "user", "user"]);
    expect(mediaBehind(spoken(...turn)).map(({ part }) => part).slice(-3)).toEqual([a1, a2, b1]);
  });

  test.each<readonly [string, Part]>([
    ["that name another result", image(Uint8Array.of(1), "image/png", of("b"))],
    ["that name none", image(Uint8Array.of(1), "image/png", { role: "tool" })],
    ["of a user", image(Uint8Array.of(1), "image/png", of("a", "user"))],
    ["behind something else", a1],
  ])("%s stay where they are", (name, part) => {
    const between = name.startsWith("behind") ? [text("wait")] : [];
    const parts = [call("a"), result("a"), ...between, part];
    expect(mediaInside(spoken(...parts)).map((one) => one.media.length)).toEqual(parts.map(() => 0));
    expect(mediaBehind(spoken(...parts)).map((one) => one.part)).toEqual(parts);
  });

  test("the text of a result is what it says, or its JSON", () => {
    const said = (value: string | object): string => resultText(toolResult({ id: "a", name: "f", result: value as string }));
    expect([said("noon"), said({ degrees: -3 })]).toEqual(["noon", '{"degrees":-3}']);
  });
});
