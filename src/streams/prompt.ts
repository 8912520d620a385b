/**
 * @module
 */
import { text } from "../core/constructors.ts";
import { invalidOption, MillraceError } from "../core/errors.ts";
import { Fused } from "../core/fused.ts";
import type { Part } from "../core/part.ts";
import { sizeOf } from "../core/part-size.ts";
import { processorOf } from "../core/pipeline.ts";
import type { Processor } from "../core/processor.ts";
import { input, perRun, type PerRun, Sequence, type Step } from "./sequence.ts";

/** In a `prompt`: the hole through which the stream flows. */
export const content: unique symbol = Symbol.for("millrace.prompt.content");

/** What a hole may hold: the stream, a value, or content as `prepend` takes it. */
export type PromptValue = typeof content | number | PerRun;

/** What is held of an input that is wanted a second time: deltas reach the one limit, documents the other. */
const maxHeldParts = 10_000;
const maxHeldBytes = 20_971_520;

/**
 * A template around a stream. Values stay values: nothing in them is read as a template.
 *
 * Reads:  every part. The stream flows through the first hole `content` part by part; for further ones it is held, up to 10,000 parts and
 *         20 MiB. A template without that hole takes the place of the stream, which is read to its end and left out.
 * Yields: text and values as text parts of role `user`, neighbours joined to one; parts as they are, JSON too; what a function of
 *         the context gives for this run; the stream.
 * Throws: `invalid_input` for a value that is none of these, with the number of its hole, and for content that can be read only
 *         once; `too_large` for a stream that cannot be held; whatever the values throw.
 * Closes: the content of a hole that is left half way.
 *
 * @example
 * const summary = prompt`Summarise in ${3} lines:\n${content}\nToday is ${() => new Date().toDateString()}.`;
 * for await (const part of run(summary, ["A long story. ", image(new Uint8Array(8))])) console.log(part.kind); // text  text  bytes  text  text  text
 */
export function prompt(strings: TemplateStringsArray, ...values: readonly PromptValue[]): Processor {
  if (!Array.isArray(strings) || !("raw" in strings)) throw invalidOption("prompt", "it", "called as a template, prompt`…`", strings);
  const pieces = piecesOf(strings, values);
  const holes = pieces.filter((piece) => piece === content).length;
  return processorOf([
    {
      kind: "flow",
      name: "prompt",
      open(upstream, scope) {
        const held: Part[] = [];
        let met = 0;
        const steps = pieces.map((piece): Step => {
          if (piece !== content) return piece;
          met += 1;
          if (met > 1) return () => new Fused({ items: held }, [], scope);
          return holes === 1 ? input : holding(held);
        });
        return new Sequence(holes === 0 ? [...steps, leftOut] : steps, upstream, scope);
      },
    },
  ]);
}

/** The template as what is opened one after the other; texts that stand next to each other are one. */
function piecesOf(strings: readonly unknown[], values: readonly PromptValue[]): readonly (Step | typeof content)[] {
  const pieces: (Step | typeof content)[] = [];
  let open = "";
  const close = (): void => {
    if (open !== "") pieces.push(perRun("prompt", "text", text(open)));
    open = "";
  };
  for (const [index, string] of strings.entries()) {
    if (typeof string !== "string") throw invalidOption("prompt", `text ${index + 1}`, "without invalid escapes", string);
    open += string;
    if (index >= values.length) continue;
    const value = values[index];
    if (typeof value === "string" || (typeof value === "number" && Number.isFinite(value))) {
      open += String(value);
      continue;
    }
    close();
    pieces.push(value === content ? content : perRun("prompt", `hole ${index + 1}`, value as PerRun)); // which checks it
  }
  close();
  return pieces;
}

/** The input, part by part, kept for later. */
function holding(held: Part[]): Step {
  let bytes = 0;
  const hold = (part: Part): Part => {
    bytes += sizeOf(part);
    if (held.length === maxHeldParts || bytes > maxHeldBytes) {
      throw new MillraceError("too_large", `prompt: the input of a second hole is held, ${maxHeldParts} parts and ${maxHeldBytes} bytes at most`);
    }
    held.push(part);
    return part;
  };
  return (scope, upstream) => new Fused(upstream, [hold], scope);
}

/** Reads the input to its end, so that its errors are heard, and gives nothing of it. */
const leftOut: Step = (scope, upstream) => new Fused(upstream, [() => undefined], scope);
