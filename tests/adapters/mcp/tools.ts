/** A server of MCP with a tool for everything that one can do. */
import { McpServer } from "@modelcontextprotocol/server";
import { z } from "zod";

/** What a server saw. */
export type Seen = (event: string) => void;

export const png: Uint8Array = Uint8Array.of(0x89, 0x50, 0x4e, 0x47);
const base64 = Buffer.from(png).toString("base64");

export function toolServer(seen: Seen = () => {}): McpServer {
  const server = new McpServer({ name: "everything", version: "1.0.0" }, { capabilities: { tools: {} } });
  const says = (text: string) => ({ content: [{ type: "text" as const, text }] });
  server.registerTool("echo", { description: "Says it again.", inputSchema: z.object({ words: z.string() }) }, ({ words }) => says(words));
  server.registerTool("lines", {}, () => ({ content: [{ type: "text", text: "one" }, { type: "text", text: "two" }] }));
  server.registerTool("sum", { inputSchema: z.object({ a: z.number(), b: z.number() }), outputSchema: z.object({ sum: z.number() }) }, ({ a, b }) => ({
    content: [{ type: "text", text: JSON.stringify({ sum: a + b }) }],
    structuredContent: { sum: a + b },
  }));
  server.registerTool("media", {}, () => ({
    content: [
      { type: "text", text: "a dot" },
      { type: "image", data: base64, mimeType: "image/png" },
      { type: "audio", data: base64, mimeType: "audio/wav" },
      { type: "resource", resource: { uri: "file:///notes.md", text: "# Notes", mimeType: "text/markdown" } },
      { type: "resource", resource: { uri: "file:///dot.bin", blob: base64, mimeType: "not a type" } },
    ],
  }));
  server.registerTool("link", {}, () => ({ content: [{ type: "resource_link", uri: "file:///report.pdf", name: "report", description: "last year", mimeType: "application/pdf" }] }));
  server.registerTool("fail", {}, () => ({ ...says("no such file ".repeat(40)), isError: true }));
  server.registerTool("throws", {}, () => {
    throw new Error("out of paper");
  });
  server.registerTool("progress", {}, async (context) => {
    const progressToken = context.mcpReq._meta?.progressToken ?? "none";
    await context.mcpReq.notify({ method: "notifications/progress", params: { progressToken, progress: 1, total: 2, message: "half\u001b[2J way" } });
    await context.mcpReq.notify({ method: "notifications/progress", params: { progressToken, progress: 2, total: 2 } });
    return says("there");
  });
  server.registerTool("wait", {}, async (context) => {
    seen("waiting");
    const { signal } = context.mcpReq;
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    seen("cancelled");
    return says("too late");
  });
  server.registerTool("asks", {}, async (context) => {
    const { send } = context.mcpReq;
    const answer = (asking: Promise<unknown>): Promise<string> => asking.then(() => "granted", (error: Error) => error.message);
    const sampling = await answer(send({ method: "sampling/createMessage", params: { messages: [], maxTokens: 1 } }));
    const question = await answer(send({ method: "elicitation/create", params: { message: "the password?", requestedSchema: { type: "object", properties: {} } } }));
    const folders = await answer(send({ method: "roots/list" }));
    return says([sampling, question, folders].join(", "));
  });
  server.registerTool("env", {}, () => says(Object.keys(process.env).sort().join(" ")));
  server.registerTool("where", {}, () => says(`${process.pid} ${process.cwd()}`));
  server.registerTool("die", {}, () => process.exit(3));
  server.registerTool("big", {}, () => says("x".repeat(200_000)));
  return server;
}
