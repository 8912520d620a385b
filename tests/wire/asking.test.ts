import { describe, expect, test } from "vitest";
import { isMillraceError } from "../../src/index.ts";
import { asking } from "../../src/wire/asking.ts";

const tool = (name: string): { readonly name: string; readonly parameters: object } & { readonly parameters: Readonly<Record<string, unknown>> } => ({ name, parameters: {} });
const output = (name: string): { readonly name: string; readonly schema: Readonly<Record<string, unknown>> } => ({ name, schema: {} });

describe("asking", () => {
  test("tools of the turn come behind those of the options, its choice and output instead of theirs", () => {
    const standing = { tools: [tool("a")], toolChoice: "none", output: output("o") } as const;
    expect(asking("m", standing, {})).toEqual(standing);
    const both = asking("m", standing, { tools: [tool("b")], toolChoice: { name: "b" }, output: output("p") });
    expect(both).toEqual({ tools: [tool("a"), tool("b")], toolChoice: { name: "b" }, output: output("p") });
    expect(asking("m", {}, { tools: [] })).toEqual({ tools: undefined, toolChoice: undefined, output: undefined });
  });

  test("two tools of one name are refused by that name, wherever they come from", () => {
    for (const [standing, turn] of [[["a"], ["a"]], [["b", "a", "a"], []], [[], ["a", "b", "a"]]] as const) {
      const ask = (): unknown => asking("m", { tools: standing.map(tool) }, { tools: turn.map(tool) });
      expect(ask).toThrow("m: two tools are named a");
      expect(() => ask()).toThrow(expect.toSatisfy((error) => isMillraceError(error, "invalid_input")));
    }
  });
});
