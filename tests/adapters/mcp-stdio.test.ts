import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { mcpTools } from "../../src/adapters/mcp/index.ts";
import { isMillraceError, type Part, run, withTools } from "../../src/index.ts";
import { mockModel } from "../../src/testing/index.ts";
import { call, called, failing, program, resultsIn, until } from "./mcp/support.ts";

let folder = "";
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), "mcp-"))));
afterAll(() => rm(folder, { recursive: true }));

/** Does the process still run? */
const isThere = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};
const pidIn = (parts: readonly Part[]): number => Number(/^\d+/.exec(String(parts.flatMap((part) => (part.kind === "toolResult" ? [part.result] : [])).at(-1)))?.[0]);
const logged = async (file: string): Promise<string[]> => (await readFile(file, "utf8").catch(() => "")).split("\n").filter((line) => line !== "");

describe("a server that is a program", () => {
  test("its tools are called, and it is gone when the run ends", async () => {
    const { results, read } = await called(mcpTools({ ...program(), cwd: folder }), call("echo", { words: "hi" }), call("sum", { a: 1, b: 2 }), call("where"));
    expect(results).toEqual([["echo", "hi", false], ["sum", { sum: 3 }, false], ["where", expect.stringContaining(folder), false]]);
    const pid = pidIn(read);
    expect([pid > 0, isThere(pid)]).toEqual([true, false]);
  });

  test("it is gone after break, and after the model has failed", async () => {
    const pids: number[] = [];
    for (const second of ["end", [{ error: new Error("the model") }]] as const) {
      try {
        for await (const part of run(withTools(mockModel([[call("where")], second as never]), [mcpTools(program())]), "q")) {
          if (part.kind === "toolResult") pids.push(pidIn([part]));
          if (part.kind === "toolResult" && second === "end") break;
        }
      } catch {
        // the model's
      }
    }
    expect(pids.map(isThere)).toEqual([false, false]);
    expect(pids).toHaveLength(2);
  });

  test("an abort cancels the call there, rejects with the reason, and the program ends", async () => {
    const log = join(folder, "abort.log");
    const tools = mcpTools({ ...program(), env: { MCP_TEST_LOG: log } });
    const controller = new AbortController();
    const reason = new Error("enough");
    const parts: Part[] = [];
    const done = run(withTools(mockModel([[call("where")], [call("wait")], "end"]), [tools]), "q", { signal: controller.signal }).forEach((part) => {
      parts.push(part);
      if (part.kind === "toolCall" && part.name === "wait") void until(async () => (await logged(log)).includes("waiting")).then(() => controller.abort(reason));
    });
    await expect(done).rejects.toBe(reason);
    await tools.close();
    expect(await logged(log)).toEqual(["waiting", "cancelled"]);
    expect(isThere(pidIn(parts))).toBe(false);
  });

  // Deno's child process takes one signal only: after SIGTERM, SIGKILL is not sent
  test.skipIf("Deno" in globalThis)(`a program that does not end when its input does is asked to, and then killed${"Deno" in globalThis ? " (skipped: Deno sends a child one signal alone)" : ""}`, async () => {
    const log = join(folder, "stubborn.log");
    const { read } = await called(mcpTools({ ...program("--stubborn"), env: { MCP_TEST_LOG: log } }), call("where"));
    expect(isThere(pidIn(read))).toBe(false);
    expect(await logged(log)).toEqual(["asked to end"]);
  }, 120_000);

  test("it gets the variables that are named and few others", async () => {
    process.env.MCP_TEST_SECRET = "not for strangers";
    try {
      const { results } = await called(mcpTools({ ...program(), env: { MCP_TEST_KEY: "for it" } }), call("env"));
      const names = String((results[0] as readonly unknown[])[1]).split(" ");
      expect(names).toContain("MCP_TEST_KEY");
      expect(names).not.toContain("MCP_TEST_SECRET");
    } finally {
      delete process.env.MCP_TEST_SECRET;
    }
  });

  test("what it asks of its client is refused", async () => {
    expect((await called(mcpTools(program()), call("asks"))).results).toEqual([["asks", "Method not found, Method not found, Method not found", false]]);
  });

  test("a program that dies in a call is an error result, and so are later calls", async () => {
    const errors: unknown[] = [];
    const model = mockModel([[call("die")], [call("echo", { words: "hi" })], "end"]);
    const parts = await run(withTools(model, [mcpTools(program())], { onEvent: ({ error }) => errors.push(error) }), "q").collect();
    expect(resultsIn(parts)).toEqual([["die", "the tool failed", true], ["echo", "the tool failed", true]]);
    expect(errors.map((error) => isMillraceError(error, "unavailable") && error.message)).toEqual(Array.from({ length: 2 }, () => expect.stringMatching(/ has ended: .*a word on the error output$/s)));
  });

  test("a message that is too large ends the connection, not this process", async () => {
    const { results, errors } = await called(mcpTools({ ...program(), maxMessageBytes: 100_000 }), call("big"));
    expect(results).toEqual([["big", "the tool failed", true]]);
    expect(isMillraceError(errors[0], "too_large")).toBe(true);
  });

  test("with `keepOpen` runs share a program until it is closed, and a dead one is replaced", async () => {
    const tools = mcpTools({ ...program(), keepOpen: true });
    const pidOf = async (): Promise<number> => pidIn((await called(tools, call("where"))).read);
    const [first, second] = await Promise.all([pidOf(), pidOf()]);
    expect([first === second, isThere(first)]).toEqual([true, true]);
    await called(tools, call("die"));
    const third = await pidOf();
    expect([third === first, isThere(first), isThere(third)]).toEqual([false, false, true]);
    await tools.close();
    expect(isThere(third)).toBe(false);
    expect((await failing(called(tools, call("where")))).code).toBe("closed");
  });
});

describe("a program that cannot be used", () => {
  test("a command that does not exist is `missing_config`, and no argument is in the message", async () => {
    const error = await failing(called(mcpTools({ command: "/nowhere/no-such-program", args: ["--key", "canary-1234567890"] })));
    expect([error.code, error.message]).toEqual(["missing_config", "mcp: no-such-program cannot be started (ENOENT)"]);
  });

  test("one that ends at once is `unavailable`, with what it complained of and no value of `env`", async () => {
    const error = await failing(called(mcpTools({ ...program("--crash"), env: { MCP_TEST_KEY: "canary-1234567890" } })));
    expect([error.code, error.message]).toEqual(["unavailable", expect.stringMatching(/ has ended: no licence for …$/)]);
  });

  test("one that never answers is gone when the run has been aborted and the tools are closed", async () => {
    const log = join(folder, "mute.log");
    const controller = new AbortController();
    const reason = new Error("enough");
    const tools = mcpTools({ ...program("--mute"), env: { MCP_TEST_LOG: log } });
    const done = run(withTools(mockModel(["end"]), [tools]), "q", { signal: controller.signal }).collect();
    const aborted = expect(done).rejects.toBe(reason);
    await until(async () => (await logged(log)).length > 0);
    controller.abort(reason);
    await aborted;
    await tools.close();
    expect(isThere(Number((await logged(log))[0]))).toBe(false);
  });

  test("closing the tools ends a call with `closed`, and waits for the program", async () => {
    const log = join(folder, "closed.log");
    const tools = mcpTools({ ...program(), env: { MCP_TEST_LOG: log } });
    const errors: unknown[] = [];
    const done = run(withTools(mockModel([[call("where")], [call("wait")], "end"]), [tools], { onEvent: ({ error }) => errors.push(error) }), "q").collect();
    await until(async () => (await logged(log)).includes("waiting"));
    await tools.close();
    const parts = await done;
    expect(isThere(pidIn(parts.slice(0, parts.findIndex((part) => part.kind === "toolResult") + 1)))).toBe(false);
    expect(errors).toMatchObject([{ code: "closed" }]);
  });
});
