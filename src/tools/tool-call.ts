/**
 * One call of a model's, run: what the tool streams, then the result. A tool's trouble is a result too.
 *
 * @module
 */
import type { Clock } from "../core/clock.ts";
import { toolResult } from "../core/constructors.ts";
import { derive } from "../core/derive.ts";
import { isMillraceError } from "../core/errors.ts";
import type { BytesPart, JsonValue, Part, ToolCallPart, UriPart } from "../core/part.ts";
import { utf8Length } from "../core/part-size.ts";
import { runInside } from "../core/pipeline.ts";
import { resultMedium } from "../core/result-media.ts";
import type { Scope } from "../core/scope.ts";
import type { Tool } from "../kinds/tool.ts";
import { timeout } from "../resilience/timeout.ts";

/** A tool that failed, and why: the model reads no more than the tool wrote for it. */
export interface ToolEvent {
  readonly kind: "failed";
  readonly call: ToolCallPart;
  readonly error: unknown;
}

/** What calls of one turn share. */
export interface CallSettings {
  readonly tools: ReadonlyMap<string, Tool>;
  readonly clock: Clock;
  readonly maxResultBytes: number;
  /** Hears of failures. */
  tell(event: ToolEvent): void;
  /** Hears of arguments that no tool could take. */
  unusable(call: ToolCallPart): void;
  /** Hears of a tool that is about to run. */
  running(tool: Tool): void;
}

/** Characters that a model reads of what a tool says about its failure. Source: E8 of the rules on errors. */
const maxFailureCharacters = 300;
/** Characters of arguments that did not parse. */
const maxQuotedCharacters = 500;

/** Runs a call. The parts of the tool are on substream `tools`; media of the result follow it. */
export async function* calledParts(call: ToolCallPart, settings: CallSettings, scope: Scope): AsyncGenerator<Part, void, undefined> {
  const { tools, clock, maxResultBytes } = settings;
  const tool = tools.get(call.name);
  if (tool === undefined) {
    settings.unusable(call);
    return yield failure(call, `there is no tool ${JSON.stringify(call.name.slice(0, 64))}, there are: ${[...tools.keys()].join(", ")}`);
  }
  const unfit = typeof call.arguments !== "object" || call.arguments === null || Array.isArray(call.arguments);
  if (unfit) {
    settings.unusable(call);
    const said = typeof call.arguments === "string" ? call.arguments : JSON.stringify(call.arguments);
    return yield failure(call, `the arguments are no JSON object: ${said.slice(0, maxQuotedCharacters)}`);
  }
  try {
    const checked = await tool.check(call.arguments);
    if (!checked.ok) {
      settings.unusable(call);
      return yield failure(call, `the arguments do not fit: ${checked.issues}`);
    }
    settings.running(tool);
    const run = tool.open(checked.value, call);
    const { timeoutMs } = tool;
    const processor = timeoutMs === undefined ? run.processor : timeout(run.processor, { totalMs: timeoutMs, clock });
    const result = new Result(call, maxResultBytes);
    // What is asked of the model is not asked of models inside the tool.
    for await (const part of runInside(processor, { items: [run.input] }, scope, { limits: { asked: {} } })) {
      if (!result.add(part)) return yield failure(call, `the result is larger than ${maxResultBytes} bytes`);
      if (!run.returned) yield derive(part, { substream: "tools", role: "tool", metadata: { ...part.metadata, tool: { id: call.id, name: call.name } } });
    }
    yield* result.parts();
  } catch (error) {
    if (scope.signal.aborted) throw error;
    settings.tell({ kind: "failed", call, error });
    yield failure(call, whyOf(error, tool));
  }
}

/** What the model reads: the words of a tool that fails on purpose, and else none of the error's own. */
function whyOf(error: unknown, { timeoutMs }: Tool): string {
  const cause = isMillraceError(error, "interrupted") ? error.cause : error;
  if (isMillraceError(cause, "tool_failed")) return cause.message.slice(0, maxFailureCharacters);
  if (timeoutMs !== undefined && isMillraceError(cause, "timeout") && cause.phase === "total") return `the tool took longer than ${timeoutMs} ms`;
  return "the tool failed";
}

function failure({ id, name }: ToolCallPart, why: string): Part {
  return toolResult({ id, name, result: why, isError: true });
}

/** What a tool gave, as one result: a JSON value if that is all there is, else text, and media behind it. */
class Result {
  private readonly call: ToolCallPart;
  private readonly maxBytes: number;
  private readonly values: (string | { readonly json: JsonValue })[] = [];
  private readonly media: (BytesPart | UriPart)[] = [];
  private bytes = 0;

  constructor(call: ToolCallPart, maxBytes: number) {
    this.call = call;
    this.maxBytes = maxBytes;
  }

  /** False when it is too much. */
  add(part: Part): boolean {
    if (part.substream !== "") return true;
    switch (part.kind) {
      case "text":
        return this.keep(part.text, utf8Length(part.text));
      case "json":
        return this.keep({ json: part.value }, utf8Length(JSON.stringify(part.value)));
      case "bytes":
        this.media.push(part);
        this.bytes += part.bytes.byteLength;
        return this.bytes <= this.maxBytes;
      case "uri":
        this.media.push(part);
        return true;
      default:
        return true;
    }
  }

  private keep(value: string | { readonly json: JsonValue }, bytes: number): boolean {
    this.values.push(value);
    this.bytes += bytes;
    return this.bytes <= this.maxBytes;
  }

  parts(): Part[] {
    const { id, name } = this.call;
    return [toolResult({ id, name, result: this.value() }), ...this.media.map((part) => resultMedium(part, id))];
  }

  private value(): JsonValue {
    const [only] = this.values;
    if (this.values.length === 1 && typeof only === "object") return only.json;
    if (only === undefined) return this.media.length === 0 ? null : "";
    return this.values.map((value) => (typeof value === "string" ? value : JSON.stringify(value.json))).join("");
  }
}
