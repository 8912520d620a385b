/** What the tests of MCP tools share. */
import { join } from "node:path";
import type { McpTools, McpToolsOptions } from "../../../src/adapters/mcp/index.ts";
import { isMillraceError, type MillraceError, type Part, run, type ToolEvent, withTools } from "../../../src/index.ts";
import { type MockEvent, mockModel } from "../../../src/testing/index.ts";
import { turns } from "../../streams/support.ts";

/** The server as a program, started by the runtime that the tests run on. */
export function program(...modes: readonly string[]): Pick<McpToolsOptions, "command" | "args"> & { readonly command: string } {
  const flags = "Deno" in globalThis ? ["run", "-A"] : [];
  return { command: process.execPath, args: [...flags, join(import.meta.dirname, "program.ts"), ...modes] };
}

export const call = (name: string, args: Record<string, string | number> = {}): MockEvent => ({ toolCall: { name, arguments: args } });

export interface Called {
  readonly parts: readonly Part[];
  /** Results in the order of the calls: name, value, is it an error. */
  readonly results: readonly unknown[];
  /** What the model reads in its second turn, after its own parts. */
  readonly read: readonly Part[];
  /** Why tools failed. */
  readonly errors: readonly unknown[];
}

/** Runs a model that calls these tools in one turn. */
export async function called(tools: McpTools, ...calls: readonly MockEvent[]): Promise<Called> {
  const model = mockModel([[...calls], "end"]);
  const errors: unknown[] = [];
  const parts = await run(withTools(model, [tools], { onEvent: ({ error }: ToolEvent) => errors.push(error) }), "q").collect();
  const input = model.calls[1]?.input ?? [];
  const read = input.slice(input.findIndex(({ kind }) => kind === "finish") + 1);
  return { parts, errors, read, results: resultsIn(read) };
}

export const resultsIn = (parts: readonly Part[]): unknown[] => parts.flatMap((part) => (part.kind === "toolResult" ? [[part.name, part.result, part.isError]] : []));

/** Waits for what comes of itself, a second or more. */
export async function until(isThere: () => boolean | Promise<boolean>): Promise<void> {
  for (let turn = 0; turn < 2_000; turn += 1) {
    if (await isThere()) return;
    await turns(1);
  }
  throw new Error("it has not come");
}

/** The error of ours that a promise rejects with. */
export async function failing(promise: PromiseLike<unknown>): Promise<MillraceError> {
  const error: unknown = await promise.then(() => undefined, (reason: unknown) => reason);
  if (!isMillraceError(error)) throw new Error(`no error of millrace: ${String(error)}`);
  return error;
}
