/** An analyser that counts the letters of texts, right in all that the contract asks, or wrong in one thing. */
import { bytes, json, text } from "../../../src/core/constructors.ts";
import { MillraceError } from "../../../src/core/errors.ts";
import type { Part, PartOptions } from "../../../src/core/part.ts";
import type { Context, Processor } from "../../../src/core/processor.ts";
import { each } from "../../../src/streams/each.ts";
import type { Analyser, AnalyserSubject } from "../../../src/testing/contracts/analyser.ts";

const service = "toy";

export type AnalyserFlaw =
  | "copies-others"
  | "drops-others"
  | "others-last"
  | "drops-metadata"
  | "drops-substream"
  | "assistant-role"
  | "speaks-as-system"
  | "other-kind"
  | "finds-nothing"
  | "changes-part"
  | "changes-bytes"
  | "counts-on"
  | "gathers"
  | "mixes-order"
  | "mixes-runs"
  | "plain-error"
  | "other-service"
  | "eager"
  | "ends-with-a-run"
  | "wraps-source-error"
  | "works-when-closed"
  | "closes-once"
  | "stays-open"
  | "unheard-rejection";

/** How many of them are open. */
let open = 0;

const takes = (part: Part): boolean => part.kind === "text" || part.mimeType === "text/x-toy";

export function toySubject(flaw?: AnalyserFlaw): AnalyserSubject {
  return {
    name: "toy",
    service,
    open: () => toyAnalyser(flaw),
    sample: (options) => (flaw === "changes-bytes" ? bytes(Uint8Array.of(98, 97), "text/x-toy", options) : text("letters", options)),
    unreadable: (options) => text("?", options),
    takes,
    gives: "json",
    running: () => open,
  };
}

function toyAnalyser(flaw: AnalyserFlaw | undefined): Analyser {
  let closed = false;
  let counted = 0;
  let latest: Part["metadata"] = {};
  open += 1;

  async function found(part: Part, context?: Context): Promise<Part | undefined> {
    if (closed && flaw !== "works-when-closed") throw new MillraceError("closed", `${service}: is closed`, { service });
    if (flaw === "ends-with-a-run") context?.signal.addEventListener("abort", () => (closed = true));
    if (flaw === "unheard-rejection") void Promise.reject(new Error("nobody hears"));
    if (part.kind === "text" && part.text === "?") {
      throw flaw === "plain-error" ? new SyntaxError("no letters") : new MillraceError("invalid_input", `${service}: no letters`, flaw === "other-service" ? {} : { service });
    }
    if (flaw === "changes-part") Object.assign(part, { text: "" });
    if (flaw === "changes-bytes" && part.kind === "bytes") part.bytes.sort();
    if (flaw === "mixes-runs") {
      latest = part.metadata;
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (flaw === "finds-nothing") return undefined;
    counted += 1;
    const options: PartOptions = {
      role: flaw === "assistant-role" ? "assistant" : flaw === "speaks-as-system" ? part.role : "user",
      substream: flaw === "drops-substream" ? "" : part.substream,
      metadata: flaw === "drops-metadata" ? {} : flaw === "mixes-runs" ? latest : part.metadata,
    };
    const letters = part.kind === "text" ? part.text.length : 2;
    return flaw === "other-kind" ? text(String(letters), options) : json(flaw === "counts-on" ? counted : letters, options);
  }

  const close = async (): Promise<void> => {
    if (closed && flaw === "closes-once") throw new Error("closed before");
    if (!closed && flaw !== "stays-open") open -= 1;
    closed = true;
  };
  const processor = processorWith(flaw, found);
  return Object.assign((input: AsyncIterable<Part>, context?: Context) => processor(input, context), { close, [Symbol.asyncDispose]: close });
}

type Find = (part: Part, context?: Context) => Promise<Part | undefined>;

function processorWith(flaw: AnalyserFlaw | undefined, found: Find): Processor {
  switch (flaw) {
    case "copies-others":
      return each((part, context) => (takes(part) ? found(part, context) : { ...part }));
    case "drops-others":
      return each((part, context) => (takes(part) ? found(part, context) : undefined));
    case "mixes-order":
      return each(
        async (part, context) => {
          const { number } = (part.metadata["contract"] ?? {}) as { readonly number?: number };
          for (let round = 0; number === 1 && round < 5; round += 1) await new Promise((resolve) => setImmediate(resolve));
          return found(part, context);
        },
        { match: takes, concurrency: 4, ordered: false },
      );
    case "others-last":
      return async function* (input) {
        const others: Part[] = [];
        for await (const part of input) {
          if (!takes(part)) others.push(part);
          else yield* [await found(part)].filter((it) => it !== undefined);
        }
        yield* others;
      };
    case "gathers":
      return async function* (input) {
        const all: Part[] = [];
        for await (const part of input) all.push(takes(part) ? ((await found(part)) ?? part) : part);
        yield* all;
      };
    case "eager":
      return (input) => {
        const iterator = input[Symbol.asyncIterator]();
        const first = iterator.next();
        return (async function* () {
          for (let next = await first; next.done !== true; next = await iterator.next()) yield takes(next.value) ? ((await found(next.value)) ?? next.value) : next.value;
        })();
      };
    case "wraps-source-error":
      return async function* (input) {
        try {
          for await (const part of input) yield takes(part) ? ((await found(part)) ?? part) : part;
        } catch (cause) {
          throw cause instanceof MillraceError ? cause : new MillraceError("bad_response", `${service}: no input`, { cause });
        }
      };
    default:
      return each((part, context) => found(part, context), { match: takes });
  }
}
