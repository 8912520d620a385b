/**
 * Record a processor once, replay it for ever: part by part, with the errors and, if wanted, at the pace of then.
 *
 * @module
 */
import { type Clock, systemClock } from "../core/clock.ts";
import { codec } from "../core/codec.ts";
import { invalidOption, MillraceError, requireProcessors } from "../core/errors.ts";
import type { JsonValue, Part } from "../core/part.ts";
import type { Processor } from "../core/processor.ts";
import { CanonicalBytes, toHex, writeParts } from "../resilience/caching/cache-key.ts";
import { collect } from "../wire/collect.ts";
import { redaction } from "../wire/redact.ts";
import { errorFromJson, errorToJson } from "./recorded-error.ts";
import { type Recording, recordingOf, type RecordingLine, sinceMs } from "./recording.ts";

/** Where to record. */
export interface RecordOptions {
  readonly to: Recording;
  /** @default the machine's clock */
  readonly clock?: Clock;
}

/**
 * Writes down what a processor reads and makes, while it passes.
 *
 * Yields: what the processor makes, the very parts.
 * Throws: what the processor throws, the very object; `invalid_input` for a part that is no data and cannot be written down.
 * Writes: a line for each part in and out, then how it ended: `complete`, `left` (also by an abort), or the error: its message
 *         without what looks like a key. Parts are written as they are: what must not lie in a file must not be recorded.
 *
 * @example
 * const notes = recording();
 * await run(record(each((part) => part), { to: notes }), "hello").collect();
 * console.log(notes.lines.length, notes.lines[2]?.end); // 3 complete
 */
export function record(processor: Processor, options: RecordOptions): Processor {
  requireProcessors("record", [processor]);
  const { to, clock = systemClock } = options ?? {};
  if (typeof to?.add !== "function") throw invalidOption("record", "to", "a recording", to);
  return async function* record(input, context) {
    const call = to.nextNumber("call");
    const startMs = clock.now();
    const note = (line: RecordingLine): void => to.add({ call, ...line, atMs: sinceMs(startMs, clock.now()) });
    let ended = false;
    const end = (line: RecordingLine): void => {
      if (!ended) note(line);
      ended = true;
    };
    try {
      for await (const part of processor(noted(input, (part) => note({ in: codec.encode(part) })), context)) {
        note({ out: codec.encode(part) });
        yield part;
      }
      end({ end: "complete" });
    } catch (error) {
      end(context?.signal.aborted === true ? { end: "left" } : { error: errorToJson(error, redaction({ secrets: [] })) });
      throw error;
    } finally {
      end({ end: "left" });
    }
  };
}

async function* noted(input: AsyncIterable<Part>, note: (part: Part) => void): AsyncGenerator<Part> {
  for await (const part of input) {
    note(part);
    yield part;
  }
}

/** How to replay. */
export interface ReplayOptions {
  /** 1 is the pace of then, 2 is twice as fast; `Infinity` does not wait. @default Infinity */
  readonly speed?: number;
  /** @default the machine's clock */
  readonly clock?: Clock;
}

interface RecordedCall {
  readonly input: readonly Part[];
  readonly made: readonly { readonly atMs: number; readonly part: Part }[];
  /** How it ended, and when; nothing when the recording ends before the call. */
  readonly end?: { readonly atMs: number; readonly how: "complete" | "left" | Error };
}

/**
 * A processor that does again what was recorded.
 *
 * Reads:  its whole input. The first call with an input gets the first recorded one with that input, and so on; the last is given again.
 * Yields: the recorded parts, new ones each time.
 * Throws: the recorded error, with its code and all it said; `missing_config` for an input that was never recorded, and for a call that
 *         was left or is not recorded to its end, after its parts: what was cut never looks complete.
 *
 * @example
 * const notes = recording();
 * await run(record(mockModel(["Hello."]), { to: notes }), "Hi").text();
 * const again = replay(notes);
 * console.log(await run(again, "Hi").text()); // Hello.
 * await run(again, "Bye").text().catch((error: Error) => console.log(error.message)); // replay: missing recording for "Bye": 1 call is recorded
 */
export function replay(source: Recording | string, options: ReplayOptions = {}): Processor {
  const { speed = Infinity, clock = systemClock } = options;
  if (!(speed > 0)) throw invalidOption("replay", "speed", "a number above 0", speed);
  const recorded = callsOf(recordingOf(source));
  const given = new Map<string, number>();
  let byInput: Promise<ReadonlyMap<string, readonly RecordedCall[]>> | undefined;
  return async function* replay(input, context) {
    const signal = context?.signal;
    const parts = await collect(input, signal ?? new AbortController().signal);
    byInput ??= indexed(recorded);
    const key = await keyOf(parts);
    const calls = (await byInput).get(key) ?? [];
    const turn = given.get(key) ?? 0;
    given.set(key, turn + 1);
    const call = calls[Math.min(turn, calls.length - 1)];
    if (call === undefined) throw missing(parts, recorded.length);
    const startMs = clock.now();
    const until = async (atMs: number): Promise<void> => {
      const waitMs = speed === Infinity ? 0 : startMs + atMs / speed - clock.now();
      if (waitMs > 0) await clock.sleep(waitMs, signal);
    };
    for (const { atMs, part } of call.made) {
      await until(atMs);
      yield codec.decode(codec.encode(part));
    }
    if (call.end !== undefined) await until(call.end.atMs);
    if (call.end?.how === "complete") return;
    if (call.end?.how instanceof Error) throw call.end.how;
    const why = call.end === undefined ? "ends before the call does" : "was left there";
    throw new MillraceError("missing_config", `replay: missing recording for what comes after ${call.made.length} parts: it ${why}`);
  };
}

function callsOf({ lines }: Recording): RecordedCall[] {
  const calls = new Map<number, { input: Part[]; made: { atMs: number; part: Part }[]; end?: { atMs: number; how: "complete" | "left" | Error } }>();
  for (const line of lines) {
    if (typeof line.call !== "number") continue;
    let call = calls.get(line.call);
    if (call === undefined) calls.set(line.call, (call = { input: [], made: [] }));
    const atMs = typeof line.atMs === "number" ? line.atMs : 0;
    if (line.in !== undefined) call.input.push(codec.decode(line.in));
    else if (line.out !== undefined) call.made.push({ atMs, part: codec.decode(line.out) });
    else if (line.end !== undefined) call.end = { atMs, how: line.end === "complete" ? "complete" : "left" };
    else if (line.error !== undefined) call.end = { atMs, how: errorFromJson(line.error) };
  }
  return [...calls.values()];
}

async function indexed(calls: readonly RecordedCall[]): Promise<ReadonlyMap<string, readonly RecordedCall[]>> {
  const found = new Map<string, RecordedCall[]>();
  for (const call of calls) {
    const key = await keyOf(call.input);
    const same = found.get(key);
    if (same === undefined) found.set(key, [call]);
    else same.push(call);
  }
  return found;
}

/** The same for the same input; through the codec, as the recorded one went. Metadata makes no difference. */
async function keyOf(parts: readonly Part[]): Promise<string> {
  const bytes = new CanonicalBytes();
  writeParts(bytes, parts.map((part) => codec.decode(codec.encode(part))), []);
  return toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes.joined())));
}

/** Characters of the input in a message. */
const shownChars = 80;

function missing(parts: readonly Part[], count: number): MillraceError {
  const shown: JsonValue = parts.map((part) => (part.kind === "text" ? part.text : `[${part.kind}]`)).join("");
  const quoted = JSON.stringify(shown.length > shownChars ? `${shown.slice(0, shownChars)}…` : shown);
  return new MillraceError("missing_config", `replay: missing recording for ${quoted}: ${count === 1 ? "1 call is" : `${count} calls are`} recorded`);
}
