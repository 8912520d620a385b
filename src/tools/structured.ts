/**
 * Structured output: a model's answer as a value of a schema.
 *
 * @module
 */
import { askedOf, type OutputSchema } from "../core/asked.ts";
import { asks } from "../core/asks.ts";
import { json, text } from "../core/constructors.ts";
import { derive } from "../core/derive.ts";
import { invalidOption, isMillraceError, MillraceError, requireProcessors, wholeNumber } from "../core/errors.ts";
import { checkedJson } from "../core/json-border.ts";
import type { JsonValue, Part } from "../core/part.ts";
import { processorOf, runInside } from "../core/pipeline.ts";
import type { Context, Processor } from "../core/processor.ts";
import { Scope } from "../core/scope.ts";
import type { Checked } from "../kinds/tool.ts";
import { answerValue } from "./answer-text.ts";
import { type CheckedSchema, checkedSchema, type JsonSchema, type Schema } from "./schema.ts";
import { toldSchema } from "./strict-schema.ts";
import { type TurnAnswer, turnsOf } from "./turn-answer.ts";

/** Of structured output. */
export interface StructuredOptions {
  /** What services call the schema: 1 to 64 letters, digits, `_` and `-`. @default "answer" */
  readonly name?: string;
  /** What the model is told, where the schema gives no JSON Schema or another one is wanted. @default what the schema gives */
  readonly jsonSchema?: JsonSchema;
  /** Answers that are asked for in all, while they do not fit. @default 2 */
  readonly attempts?: number;
  /** Gives the value as it grows too. @default false */
  readonly partial?: boolean;
  /** Asks by the service's own means; else by a text behind the input, for models that have none. @default true */
  readonly native?: boolean;
  /** UTF-8 bytes of an answer's text at most. @default 1 MiB */
  readonly maxBytes?: number;
}

const defaultMaxBytes = 1_048_576;

/** Characters of what is wrong that the model and the caller are told. */
const maxIssueCharacters = 500;

/**
 * Asks a model for a value of a schema, and gives that value.
 *
 * The model may be wrapped, and may be a tool loop: the answer is the assistant's text of the last turn. An answer that does not fit goes
 * back with what is wrong with it, until there have been `attempts`. A schema goes out as `strict`, to be held to by the service, where OpenAI
 * would take it so: an object without optional and further fields all the way down, in keywords of its list. Where it does not say whether
 * there are further fields, the model is told that there are none, if that is all it takes.
 *
 * Reads:  its whole input, once.
 * Yields: one JSON part of role assistant with the value as the schema made it, before the finish part of its turn. It stands for the text,
 *         which does not go out, and has its metadata, so that what came can go back to the model as it is. Other parts as they come; turns
 *         that call tools as they are, their text too, and no value after them alone. The finish part of each turn, whose usage counts; of
 *         an answer that was asked for again with `metadata.structured.rejected` true: a history does without that turn. Nothing where there is
 *         nothing to answer.
 *         With `partial` each new state of the value as a JSON part on substream `partial`, `metadata.structured.partial` true, unchecked:
 *         strings may be cut, numbers and keys are whole; it begins anew with each turn and attempt.
 * Throws: `bad_response` when the last attempt does not fit, or what the schema makes is no JSON; `truncated` for an answer cut by its length,
 *         `refused` for one that the model or a filter refused: the text is in `partial`, with the usage of that turn. `too_large` for an answer
 *         beyond `maxBytes`; `invalid_input` for bad options and no schema; `missing_config` for a schema that gives no JSON Schema;
 *         whatever model and schema throw.
 * Closes: the model.
 *
 * @example
 * const person = { type: "object", properties: { name: { type: "string" }, age: { type: "number" } }, required: ["name", "age"], additionalProperties: false };
 * const model = mockModel(['{ "name": "Ada", "age": "36" }', '{ "name": "Ada", "age": 36 }']);
 * const { name, age } = await run(structured(model, person), "Who wrote the first program?").json<{ name: string; age: number }>();
 * console.log(name, age, model.calls.length); // Ada 36 2
 */
export function structured<T>(model: Processor, schema: Schema<T>, options: StructuredOptions = {}): Processor {
  const who = "structured";
  requireProcessors(who, [model]);
  const { name = "answer", attempts = 2, partial = false, native = true, maxBytes = defaultMaxBytes } = options;
  if (typeof name !== "string" || !/^[\w-]{1,64}$/.test(name)) throw invalidOption(who, "name", "1 to 64 letters, digits, _ and -", name);
  wholeNumber(who, "attempts", attempts, 1);
  wholeNumber(who, "maxBytes", maxBytes, 1);
  if (typeof partial !== "boolean") throw invalidOption(who, "partial", "true or false", partial);
  if (typeof native !== "boolean") throw invalidOption(who, "native", "true or false", native);
  const checked = checkedSchema(who, "schema", schema, options.jsonSchema);
  const settings: Settings = { model, output: { name, ...toldSchema(checked.jsonSchema) }, checked, attempts, partial, native, maxBytes };
  return processorOf([{ kind: "opaque", name: who, processor: (input, context) => values(settings, input, context) }]);
}

interface Settings extends Required<Pick<StructuredOptions, "attempts" | "partial" | "native" | "maxBytes">> {
  readonly model: Processor;
  readonly output: OutputSchema;
  readonly checked: CheckedSchema<unknown>;
}

async function* values(settings: Settings, input: AsyncIterable<Part>, context: Context | undefined): AsyncGenerator<Part, void, undefined> {
  if (!(context instanceof Scope)) throw new MillraceError("invalid_input", "structured: runs inside a run");
  const { output, checked, attempts, native } = settings;
  const { output: _, ...asked } = askedOf(context);
  const model = asks(settings.model, native ? { ...asked, output } : asked);
  let talk: Part[] = [];
  for await (const part of input) talk.push(part);
  if (!native && talk.some(isSpoken)) talk.push(text(`Answer with one JSON value that fits this JSON Schema, and with nothing else:\n${JSON.stringify(output.schema)}`));
  for (let attempt = 1; ; attempt += 1) {
    const said: Part[] = [];
    const { turn, end } = yield* turnsOf(settings, runInside(model, { items: talk }, context), said);
    if (turn.finish === undefined && said.length === 0) return; // there was nothing to ask
    const reason = turn.finish?.reason;
    if (reason === "length" || reason === "pause") throw turn.error("truncated", `the answer is not whole, it ended with reason ${reason}`, attempt);
    if (reason === "refusal" || reason === "content_filter") throw turn.error("refused", `there is no answer, it ended with reason ${reason}`, attempt);
    if (turn.calls) return;
    const answer = await valueOf(turn, checked, attempt);
    if (answer.ok) {
      yield json(answer.value, { role: "assistant", metadata: turn.metadata });
      if (end !== undefined) yield end;
      return;
    }
    if (attempt === attempts) throw turn.error("bad_response", `answer ${attempt} of ${attempts} does not fit the schema: ${answer.issues}`, attempt);
    if (end !== undefined) yield derive(end, { metadata: { ...end.metadata, structured: { rejected: true } } });
    talk = [...talk, ...said, text(`That answer does not fit the JSON Schema: ${answer.issues}\nAnswer again, with one JSON value that does, and with nothing else.`)];
  }
}

/** The value of an answer that fits. Throws where the schema makes something of it that no part can hold: no other answer would change that. */
async function valueOf(turn: TurnAnswer, { check }: CheckedSchema<unknown>, attempt: number): Promise<Checked<JsonValue>> {
  const read = answerValue(turn.text);
  const checked = read.ok ? await check(read.value) : read;
  if (!checked.ok) return { ok: false, issues: checked.issues.slice(0, maxIssueCharacters) };
  try {
    return { ok: true, value: checkedJson(checked.value, "value") };
  } catch (error) {
    if (!isMillraceError(error)) throw error;
    throw turn.error("bad_response", `what the schema makes of the answer is no JSON, ${error.message.replace(/^codec: /, "")}`, attempt, false);
  }
}

/** As models see it: without anything to answer there is no request. */
function isSpoken(part: Part): boolean {
  return part.role !== "system" && (part.kind !== "text" || part.text !== "");
}
