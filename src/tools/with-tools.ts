/**
 * The tool loop: a model's calls are run, and the model is asked again with their results, until it calls no more.
 *
 * @module
 */
import { asks } from "../core/asks.ts";
import { askedOf, type ToolChoice } from "../core/asked.ts";
import { type Clock, systemClock } from "../core/clock.ts";
import { invalidOption, isMillraceError, MillraceError, requireProcessors, wholeNumber } from "../core/errors.ts";
import { from } from "../core/from.ts";
import { ignore } from "../core/flow.ts";
import { guarded } from "../core/guarded.ts";
import { isReserved } from "../core/guards.ts";
import type { Part, ToolCallPart } from "../core/part.ts";
import { resultOfMedium } from "../core/result-media.ts";
import { processorOf } from "../core/pipeline.ts";
import type { Context, Processor } from "../core/processor.ts";
import type { OpenedTools, Tool, ToolSource } from "../kinds/tool.ts";
import { collect } from "../wire/collect.ts";
import { heard } from "../wire/heard.ts";
import { openCalls } from "./history-turns.ts";
import { calledParts, type CallSettings, type ToolEvent } from "./tool-call.ts";

/** Of the tool loop. */
export interface WithToolsOptions {
  /** Turns whose calls are run; a model that calls tools once more fails the run. @default 8 */
  readonly maxTurns?: number;
  /** Calls of one turn that run at the same time. @default 8 */
  readonly concurrency?: number;
  /** Whether the first turn calls a tool; later ones are free to. @default what the model does */
  readonly toolChoice?: ToolChoice;
  /** Turns in a row with arguments that no tool can take, before the run fails. @default 3 */
  readonly maxUnusable?: number;
  /** Bytes of one result; a larger one is an error result. @default 262,144 */
  readonly maxResultBytes?: number;
  /** Hears why a tool failed, which the model is not told. It cannot break a run. */
  readonly onEvent?: (event: ToolEvent) => void;
  /** @default the machine's clock */
  readonly clock?: Clock;
}

/**
 * Lets a model use tools: runs what it calls, and asks it again with the results, until it answers without a call.
 *
 * Reads:  the whole input, once: it is the beginning of every turn.
 * Yields: the parts of each turn as they come, its finish part included; results as `toolResult` parts as they come, images and other
 *         media of a result behind it with `metadata.toolResult`; what tools stream on substream `tools`, with `metadata.tool`. The
 *         model gets the results of a turn in the order of its calls.
 * Throws: `tool_failed` when it still calls tools after `maxTurns`; `bad_response` for two calls with one id, and for unusable arguments
 *         in too many turns in a row; `truncated` for calls in a turn that was cut; what the model throws, with `retryable` false once
 *         a tool has run that is not `idempotent`. Retry the model within: `withTools(retry(model), …)`.
 *         A tool's own trouble (a throw, a timeout, arguments that do not fit, a name that does not exist) is an error result.
 * Closes: running tools and the model, on break, throw and abort; sources of tools, always.
 *
 * @example
 * const now = tool({ name: "now", description: "The time in UTC.", run: () => "12:30" });
 * const model = mockModel([[{ toolCall: { name: "now" } }], "It is half past twelve."]);
 * const parts = await run(withTools(model, [now]), "What time is it?").collect();
 * console.log(parts.slice(0, 4).map((part) => part.kind).join(" ")); // toolCall finish toolResult text
 */
export function withTools(model: Processor, tools: readonly (Tool | ToolSource)[], options: WithToolsOptions = {}): Processor {
  const who = "withTools";
  requireProcessors(who, [model]);
  if (!Array.isArray(tools)) throw invalidOption(who, "tools", "an array of tools", tools);
  for (const [index, tool] of tools.entries()) if (!isTool(tool) && !isSource(tool)) throw invalidOption(who, `tools[${index}]`, "made by tool()", tool);
  byName(tools.filter(isTool));
  const { maxTurns = 8, concurrency = 8, maxUnusable = 3, maxResultBytes = 256 * 1024, clock = systemClock, toolChoice, onEvent } = options;
  wholeNumber(who, "maxTurns", maxTurns, 1);
  wholeNumber(who, "concurrency", concurrency, 1);
  wholeNumber(who, "maxUnusable", maxUnusable, 0);
  wholeNumber(who, "maxResultBytes", maxResultBytes, 1);
  const tell = (event: ToolEvent): void => guarded(() => onEvent?.(event));
  const settings: LoopSettings = { model, tools, maxTurns, concurrency, maxUnusable, maxResultBytes, clock, toolChoice, tell };
  const loop: Processor = (input, context) => toolLoop(settings, input, context as Context); // an opaque stage always has one
  return processorOf([{ kind: "opaque", name: who, processor: loop }]);
}

interface LoopSettings extends Pick<CallSettings, "clock" | "maxResultBytes" | "tell"> {
  readonly model: Processor;
  readonly tools: readonly (Tool | ToolSource)[];
  readonly maxTurns: number;
  readonly concurrency: number;
  readonly maxUnusable: number;
  readonly toolChoice: ToolChoice | undefined;
}

async function* toolLoop(settings: LoopSettings, input: AsyncIterable<Part>, context: Context): AsyncGenerator<Part, void, undefined> {
  const { model, maxTurns, maxUnusable, toolChoice } = settings;
  const history = await collect(input, context.signal);
  const { output } = askedOf(context); // tools of a loop further out are its own to run
  const opened: OpenedTools[] = [];
  try {
    const tools = byName(await openAll(settings.tools, opened, context));
    let acted = false;
    let unusableTurns = 0;
    for (let turn = 0; ; turn += 1) {
      const asked = { tools: [...tools.values()], ...(output === undefined ? {} : { output }), ...(toolChoice === undefined || turn > 0 ? {} : { toolChoice }) };
      const said: Part[] = [];
      try {
        for await (const part of asks(model, asked)(from(history), context)) {
          if (!isReserved(part)) said.push(part);
          yield part;
        }
      } catch (error) {
        throw acted ? notAgain(error) : error;
      }
      const calls = callsToRun(said);
      if (calls.length === 0) return;
      if (turn === maxTurns) {
        const names = [...new Set(calls.map(({ name }) => name.slice(0, 64)))].join(", ");
        throw new MillraceError("tool_failed", `withTools: the model still calls tools (${names}) after ${maxTurns} turns`);
      }
      let unusable = false;
      const results = new Map<string, Part[]>();
      const running: CallSettings = {
        ...settings,
        tools,
        unusable: () => void (unusable = true),
        running: ({ idempotent }) => void (acted ||= !idempotent),
      };
      for await (const part of callsInside(running, settings.concurrency)(from(calls), context)) {
        const id = resultOf(part);
        if (id !== undefined) results.set(id, [...(results.get(id) ?? []), part]);
        yield part;
      }
      unusableTurns = unusable ? unusableTurns + 1 : 0;
      if (unusableTurns > maxUnusable) {
        throw new MillraceError("bad_response", `withTools: arguments that no tool can take in ${unusableTurns} turns in a row`, { retryable: !acted });
      }
      history.push(...said, ...calls.flatMap(({ id }) => results.get(id) ?? []));
    }
  } finally {
    await Promise.all(opened.map((source) => source.close()));
  }
}

/** Runs calls at the same time; parts as they come. */
function callsInside(settings: CallSettings, concurrency: number): Processor {
  return processorOf([
    { kind: "operation", name: "tools", concurrency, ordered: false, open: (scope) => (part) => (part.kind === "toolCall" ? calledParts(part, settings, scope) : undefined) },
  ]);
}

/** The call that a part is a result of. */
function resultOf(part: Part): string | undefined {
  return part.kind === "toolResult" && part.substream === "" ? part.id : resultOfMedium(part);
}

/** The calls of a turn that nobody has answered, if the turn ended so that they may be run. */
function callsToRun(said: readonly Part[]): ToolCallPart[] {
  const calls = openCalls(said.filter(({ substream }) => substream === ""));
  if (calls.length === 0) return calls;
  const end = said.findLast((part) => part.kind === "finish");
  if (end?.reason === "length") throw new MillraceError("truncated", "withTools: the turn was cut after a tool call, which is not run");
  if (end?.reason === "refusal" || end?.reason === "content_filter") return [];
  const ids = new Set(calls.map(({ id }) => id));
  if (ids.size < calls.length) throw new MillraceError("bad_response", "withTools: two calls of one turn have the same id");
  return calls;
}

async function openAll(tools: readonly (Tool | ToolSource)[], opened: OpenedTools[], context: Context): Promise<Tool[]> {
  const all = await Promise.allSettled(
    tools.map(async (tool) => {
      if (!isSource(tool)) return [tool];
      const opening = tool.openTools(context);
      opening.then((source) => void (context.signal.aborted ? source.close().catch(ignore) : opened.push(source)), ignore);
      return (await heard(opening, context.signal)).tools;
    }),
  );
  return all.flatMap((result) => {
    if (result.status === "rejected") throw result.reason;
    return result.value;
  });
}

function byName(tools: readonly Tool[]): Map<string, Tool> {
  const named = new Map<string, Tool>();
  for (const tool of tools) {
    if (named.has(tool.name)) throw new MillraceError("invalid_input", `withTools: two tools are named ${tool.name}`);
    named.set(tool.name, tool);
  }
  return named;
}

function isTool(tool: unknown): tool is Tool {
  return typeof tool === "object" && tool !== null && "open" in tool && "check" in tool;
}

function isSource(tool: unknown): tool is ToolSource {
  return typeof tool === "object" && tool !== null && "openTools" in tool;
}

/** A tool that acted would act again. */
function notAgain(error: unknown): unknown {
  if (!isMillraceError(error) || !error.retryable) return error;
  const { code, message, cause: _, ...details } = error;
  return new MillraceError(code, message, { ...details, ...(error.partial === undefined ? {} : { partial: error.partial }), retryable: false, cause: error });
}
