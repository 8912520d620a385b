/**
 * Going on where an answer broke off: what came twice is dropped, what is missing is an error.
 *
 * @module
 */
import { MillraceError } from "../../core/errors.ts";
import type { Part } from "../../core/part.ts";
import { processorOf } from "../../core/pipeline.ts";
import type { Processor } from "../../core/processor.ts";
import type { Resumption } from "../../core/resumable.ts";

/** Follows the numbers of what is handed on. */
export class Resume {
  private readonly resumption: Resumption;
  private last: { readonly part: Part; readonly number: number } | undefined = undefined;

  constructor(resumption: Resumption) {
    this.resumption = resumption;
  }

  /** Has a part been handed on behind which an answer can be resumed? */
  get possible(): boolean {
    return this.last !== undefined;
  }

  /** A part was handed on. */
  readonly follow = (part: Part): Part => {
    const number = this.resumption.numberOf(part);
    if (number !== undefined) this.last = { part, number };
    return part;
  };

  /** The rest of the answer, as a processor that reads no input; nothing where none is possible. */
  rest(): Processor | undefined {
    const { resumption, last } = this;
    if (last === undefined) return undefined;
    let expected = last.number + 1;
    const check = (part: Part): Part | undefined => {
      const number = resumption.numberOf(part);
      if (number === undefined) return part;
      if (number < expected) return undefined;
      if (number > expected) throw new MillraceError("bad_response", `retry: the resumed answer goes on with part ${number}, expected ${expected}`, { retryable: false });
      expected += 1;
      return part;
    };
    return processorOf([
      { kind: "opaque", name: "resume", processor: (_input, context) => resumption.resume(last.part, context) },
      { kind: "operation", name: "resume", concurrency: 1, ordered: true, open: () => check },
    ]);
  }
}
