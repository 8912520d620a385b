/**
 * What `lines` and `extract` share: deltas and chunks that stand next to each other, read as one text.
 *
 * @module
 */
import { isText } from "../../core/guards.ts";
import type { Part, TextPart } from "../../core/part.ts";
import { processorOf } from "../../core/pipeline.ts";
import type { Processor } from "../../core/processor.ts";
import { sourceOf } from "../../core/source-of.ts";

/** Reads one text piece by piece. Both are asked for as far as the consumer goes. */
export interface TextReader {
  /** What can be given now that this piece is there. */
  push(part: TextPart): Iterable<Part>;
  /** What is left when the text has ended. */
  end(): Iterable<Part>;
}

/**
 * A processor that reads each text with a reader of its own. A text ends at a part that is no text, at another role or substream, at
 * another source, and with the input; not where the input fails. Other parts pass by, in their place.
 */
export function perTextRun(name: string, open: () => TextReader): Processor {
  return processorOf([
    {
      kind: "opaque",
      name,
      async *processor(input) {
        let reader: TextReader | undefined;
        let before: TextPart | undefined;
        for await (const part of input) {
          if (reader !== undefined && !(isText(part) && before !== undefined && goesOn(before, part))) {
            for (const left of reader.end()) yield left;
            reader = undefined;
          }
          if (!isText(part)) {
            yield part;
            continue;
          }
          reader ??= open();
          before = part;
          for (const made of reader.push(part)) yield made;
        }
        if (reader !== undefined) for (const left of reader.end()) yield left;
      },
    },
  ]);
}

/** Two files in a row are not one text. */
function goesOn(before: TextPart, next: TextPart): boolean {
  return before.role === next.role && before.substream === next.substream && sourceOf(before) === sourceOf(next);
}
