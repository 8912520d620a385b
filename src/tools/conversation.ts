/**
 * @module
 */
import { type Input, isWholePart } from "../core/content.ts";
import { invalidOption, isMillraceError, MillraceError } from "../core/errors.ts";
import { ignore } from "../core/flow.ts";
import { from } from "../core/from.ts";
import { isReserved } from "../core/guards.ts";
import type { Part, Usage } from "../core/part.ts";
import type { PartStream } from "../core/part-stream.ts";
import type { Context, Processor } from "../core/processor.ts";
import { run } from "../core/run.ts";
import type { RunOptions } from "../core/scope.ts";
import { sumOfUsage } from "../core/usage.ts";
import type { KeyValueContext } from "../kinds/key-value.ts";
import { Answer } from "./answer.ts";
import { openCalls } from "./history-turns.ts";
import { type HistoryStore, KeptHistory } from "./kept-history.ts";

const who = "conversation";

/** A turn as it went into the history. */
export interface ConversationTurn {
  readonly input: readonly Part[];
  /** What the history has of the answer. */
  readonly answer: readonly Part[];
  /** False where it failed, was aborted or left. */
  readonly complete: boolean;
  readonly usage: Usage;
}

/** Options of `conversation`. */
export interface ConversationOptions {
  /** What it begins with. System parts must be made by this program: those that come from a codec are data, which models refuse. @default nothing */
  readonly history?: readonly Part[];
  /** Reads the history with the new input behind it, ahead of the model; what it yields takes the place of both. `trimHistory` is one. */
  readonly trim?: Processor;
  /** Of an answer that was cut, keeps text, marked with `metadata.conversation.interrupted`, and rounds in which a tool has answered. @default false */
  readonly keepPartial?: boolean;
  /**
   * Keeps the history between programs, but for system parts. A stream ends, and is left, once its turn is written; an abort does not wait
   * for that. Of two that go on with one conversation at once the last to write wins.
   */
  readonly store?: HistoryStore;
  /** Which conversation of the store; needed with one. */
  readonly id?: string;
  /** Told of each turn once it is in the history and the store; waited for. */
  readonly onTurn?: (turn: ConversationTurn) => unknown;
}

/** A conversation with a model. */
export interface Conversation {
  /** What the model is shown before the next input. A new array after each turn. */
  readonly history: readonly Part[];
  /** What all turns took, cut ones included as far as it is known. */
  readonly usage: Usage;
  /** Reads the history from the store, unless that was done; `send` does it by itself. */
  load(context?: KeyValueContext): Promise<readonly Part[]>;
  /**
   * Says something, and gives what the model answers. An empty array asks again, with the history as it is: after a turn that failed,
   * or that the service paused.
   */
  send(input: Input, options?: RunOptions): PartStream;
}

/**
 * Keeps the history of a conversation right: across tools, failures and aborts.
 *
 * Reads:  what is sent, behind the history; results of tools, where the model's calls were left to the caller.
 * Yields: what the model yields. A turn enters the history when its stream has ended, or was left behind its last finish part: text, with
 *         deltas joined; reasoning, calls and whatever else the service wants back; results in the order of their calls. Not `status`,
 *         `debug`, finish and error parts, `sources` that the service does not want back, and other substreams. A turn that was cut
 *         leaves its input alone, unless `keepPartial`.
 * Throws: `conflict` for a turn begun while another runs: what is asked next hangs on the answer, and waiting for a stream that nobody
 *         reads on would be for ever; `invalid_input` for calls of the history that the input has no results for; what model, `trim`,
 *         `store` and `onTurn` throw. An input at which nothing came but an error of scope `part` is at fault itself and stays out.
 * Closes: the model's stream, as every run does. Model and store belong to the caller.
 *
 * @example
 * const chat = conversation(mockModel(["Hello Ada.", "Ada, you said."]), { trim: trimHistory({ maxTokens: 100_000, count: approximateTokens }) });
 * await chat.send("I am Ada.").text();
 * console.log(await chat.send("Who am I?").text(), chat.history.length); // Ada, you said. 4
 */
export function conversation(model: Processor, options: ConversationOptions = {}): Conversation {
  if (typeof model !== "function") throw invalidOption(who, "model", "a processor", model);
  const { trim, keepPartial = false, onTurn } = checked(options);
  const history = new KeptHistory(who, options.history ?? [], options.store, options.id ?? "");
  let usage: Usage = {};
  let running: object | undefined;

  /** One turn, while no other is running. */
  const turn = async function* (input: AsyncIterable<Part>, context?: Context): AsyncGenerator<Part, void, undefined> {
    if (running !== undefined) throw new MillraceError("conflict", `${who}: a turn is running; read its stream to the end, or leave it, first`);
    const own = {};
    running = own;
    let answer: Answer | undefined;
    let asked: readonly Part[] = [];
    let shown: readonly Part[] = [];
    let ending: Promise<unknown> | undefined;
    /** Once, and at once when the run is left: what the turn waits for may be deaf to that, and never come back. */
    const settle = (complete: boolean, error?: unknown): void => {
      if (running !== own) return;
      running = undefined;
      if (answer === undefined) return; // the model was not asked
      const spent = sumOfUsage([...answer.usages, isMillraceError(error) ? error.partial?.usage : undefined]);
      usage = sumOfUsage([usage, spent]);
      if (answer.isEmpty && isMillraceError(error) && error.scope === "part") return;
      const said = complete ? answer.parts : keepPartial ? answer.cutParts : [];
      ending = history.replace([...shown, ...said]).then(() => onTurn?.({ input: asked, answer: said, complete, usage: spent }));
      ending.catch(ignore); // heard at the end of the turn, if that comes
    };
    context?.signal.addEventListener("abort", () => settle(answer?.isWhole === true), { once: true }); // the run's own: it goes with it
    try {
      const before = await history.load(context ?? {});
      asked = await collected(input);
      checkCalls([...before, ...asked]);
      shown = trim === undefined ? [...before, ...asked] : yield* trimmed(trim, [...before, ...asked], context);
      context?.signal.throwIfAborted(); // or the turn is over, and the next may be running
      answer = new Answer();
      for await (const part of model(from(shown), context)) {
        answer.add(part);
        yield part;
      }
      settle(true);
    } catch (error) {
      settle(false, error);
      await ending?.catch(ignore); // what fails afterwards never replaces the first error
      ending = undefined;
      throw error;
    } finally {
      await ending; // who leaves waits for it too
    }
  };

  return {
    get history() {
      return history.parts;
    },
    get usage() {
      return usage;
    },
    load: (context = {}) => history.load(context),
    send: (input, runOptions) => run(turn, input, runOptions),
  };
}

async function collected(input: AsyncIterable<Part>): Promise<Part[]> {
  const parts: Part[] = [];
  for await (const part of input) parts.push(part);
  return parts;
}

/** What `trim` leaves; what it reports goes out. */
async function* trimmed(trim: Processor, parts: readonly Part[], context: Context | undefined): AsyncGenerator<Part, Part[], undefined> {
  const left: Part[] = [];
  for await (const part of trim(from(parts), context)) {
    if (isReserved(part)) yield part;
    else left.push(part);
  }
  return left;
}

/** Services refuse a call without a result, at every turn from then on. */
function checkCalls(parts: readonly Part[]): void {
  const [call] = openCalls(parts);
  if (call !== undefined) throw new MillraceError("invalid_input", `${who}: the model called ${call.name.slice(0, 64)}; send its result, or an error as one, before anything else`);
}

function checked(options: ConversationOptions): ConversationOptions {
  if (typeof options !== "object" || options === null) throw invalidOption(who, "options", "an object", options);
  const { history = [], trim, keepPartial, store, id, onTurn } = options;
  if (!Array.isArray(history) || !history.every(isWholePart)) throw invalidOption(who, "history", "an array of parts", history);
  if (trim !== undefined && typeof trim !== "function") throw invalidOption(who, "trim", "a processor", trim);
  if (keepPartial !== undefined && typeof keepPartial !== "boolean") throw invalidOption(who, "keepPartial", "true or false", keepPartial);
  if (onTurn !== undefined && typeof onTurn !== "function") throw invalidOption(who, "onTurn", "a function", onTurn);
  if ((store === undefined) !== (id === undefined)) throw new MillraceError("invalid_input", `${who}: a store needs an id, and an id a store`);
  if (id !== undefined && (typeof id !== "string" || id === "")) throw invalidOption(who, "id", "text with something in it", id);
  if (store !== undefined && (typeof store?.get !== "function" || typeof store.set !== "function")) throw invalidOption(who, "store", "a key-value store", store);
  return options;
}
