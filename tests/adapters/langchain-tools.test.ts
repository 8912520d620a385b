import { ToolMessage } from "@langchain/core/messages";
import { DynamicTool, tool } from "@langchain/core/tools";
import { expect, test } from "vitest";
import { z } from "zod";
import { langchainTools } from "../../src/adapters/langchain/index.ts";
import { asks } from "../../src/core/asks.ts";
import { run } from "../../src/core/run.ts";
import { mockModel } from "../../src/testing/mock-model.ts";

const schema = z.object({ city: z.string(), days: z.number().optional() });
const weather = tool(async ({ city }: z.infer<typeof schema>) => ({ city, degrees: -3 }), { name: "weather", description: "Tells the weather.", schema });

test("a tool's Zod schema becomes JSON Schema, which a model is asked with", async () => {
  const tools = await langchainTools([weather, new DynamicTool({ name: "echo", description: "Says it again.", func: async (said) => said })]);
  expect(tools).toMatchObject([
    { name: "weather", description: "Tells the weather.", parameters: { type: "object", properties: { city: { type: "string" }, days: { type: "number" } }, required: ["city"] } },
    { name: "echo", parameters: { type: "object", properties: { input: { type: "string" } } } },
  ]);
  const model = mockModel(["ok"]);
  await run(asks(model, { tools }), "hi").text();
  expect(model.calls[0]?.asked.tools?.map(({ name }) => name)).toEqual(["weather", "echo"]);
  expect(await tools[1]?.run({ input: "again" })).toBe("again");
});

test("a JSON Schema stays what it is", async () => {
  const plain = { type: "object", properties: { a: { type: "number" } } } as const;
  const [made] = await langchainTools([tool(async () => "x", { name: "f", description: "", schema: plain })]);
  expect(made?.parameters).toEqual(plain);
});

test("running it gives its result as JSON; arguments that do not fit are its own error", async () => {
  const [made] = await langchainTools([weather]);
  expect(await made?.run({ city: "Oslo" })).toEqual({ city: "Oslo", degrees: -3 });
  await expect(made?.run({ town: "Oslo" })).rejects.toThrow(/schema/);
});

test("an answer that is a message counts by its content, one that is nothing by null, one that is no JSON not at all", async () => {
  const answers = [new ToolMessage({ content: "said", tool_call_id: "c" }), undefined, new Map()];
  const [direct, none, odd] = await langchainTools(answers.map((answer, at) => ({ name: `t${at}`, schema: { type: "object" }, invoke: async () => answer })));
  expect([await direct?.run({}), await none?.run({})]).toEqual(["said", null]);
  await expect(odd?.run({})).rejects.toMatchObject({ code: "bad_response" });
});

test("the tool gets the signal, and is not waited for when it does not hear it", async () => {
  let seen: AbortSignal | undefined;
  const parked = { name: "park", schema: { type: "object" }, invoke: (_: unknown, options?: { signal?: AbortSignal }) => ((seen = options?.signal), new Promise(() => {})) };
  const [made] = await langchainTools([parked]);
  const controller = new AbortController();
  const reason = { why: "enough" };
  const result = made?.run({}, { signal: controller.signal });
  controller.abort(reason);
  await expect(result).rejects.toBe(reason);
  expect(seen).toBe(controller.signal);
});

test("what is no tool is refused by its place", async () => {
  await expect(langchainTools([weather, { name: "f" } as never])).rejects.toMatchObject({ code: "invalid_input", message: expect.stringContaining("tool 1") });
  await expect(langchainTools({} as never)).rejects.toMatchObject({ code: "invalid_input" });
});
