/**
 * The verbs in their plainest form: arrays in, arrays out, one part at a time, nothing fused, nothing at once.
 *
 * Slow, and obviously right: what a fused and concurrent pipeline gives is held against it.
 *
 * @module
 */
import { isReserved } from "../core/guards.ts";
import type { Part } from "../core/part.ts";

/** What a run gave: its parts in order, and the error that ended it, if one did. */
export interface ReferenceResult {
  readonly parts: readonly Part[];
  readonly failure?: { readonly error: unknown };
}

/** A stage of the reference: a part function, or a verb by name. */
export type ReferenceStage =
  | { readonly verb: "each"; readonly fn: (part: Part) => readonly Part[]; readonly match?: (part: Part) => boolean }
  | { readonly verb: "parallel"; readonly branches: readonly (readonly ReferenceStage[])[] }
  | { readonly verb: "route"; readonly select: (part: Part) => string; readonly routes: Readonly<Record<string, readonly ReferenceStage[]>> }
  | { readonly verb: "take" | "skip"; readonly count: number }
  | { readonly verb: "isolate"; readonly stages: readonly ReferenceStage[] }
  | { readonly verb: "batch"; readonly count: number; readonly stages: readonly ReferenceStage[] };

/** A failure on its way out, with what was made before it. */
class Cut {
  readonly parts: readonly Part[];
  readonly error: unknown;
  constructor(parts: readonly Part[], error: unknown) {
    this.parts = parts;
    this.error = error;
  }
}

/**
 * Runs stages over parts, one after the other.
 *
 * Reserved parts are put where they arise, at the latest before the next part of the stream; compare them as a set.
 *
 * @example
 * const { parts } = reference([{ verb: "take", count: 1 }], [text("a"), text("b")]);
 * console.log(parts.length); // 1
 */
export function reference(stages: readonly ReferenceStage[], input: readonly Part[]): ReferenceResult {
  let parts = input;
  let failure: { readonly error: unknown } | undefined;
  for (const stage of stages) {
    try {
      parts = apply(stage, parts, failure === undefined);
    } catch (cut) {
      if (!(cut instanceof Cut)) throw cut;
      parts = cut.parts;
      failure = { error: cut.error }; // a later stage sees what came before it, then the same error
    }
    // what a stage stopped asking for never happened
    if (failure !== undefined && stage.verb === "take" && parts.filter((part) => !isReserved(part)).length >= stage.count) failure = undefined;
  }
  return failure === undefined ? { parts } : { parts, failure };
}

function apply(stage: ReferenceStage, input: readonly Part[], whole: boolean): readonly Part[] {
  const out: Part[] = [];
  const collect = (made: () => readonly Part[]): void => {
    try {
      out.push(...made());
    } catch (error) {
      throw error instanceof Cut ? new Cut([...out, ...error.parts], error.error) : new Cut(out, error);
    }
  };
  let seen = 0;
  let group: Part[] = [];
  for (const part of input) {
    if (isReserved(part)) {
      out.push(part);
      continue;
    }
    seen += 1;
    switch (stage.verb) {
      case "each":
        collect(() => (stage.match === undefined || stage.match(part) ? stage.fn(part) : [part]));
        break;
      case "parallel": {
        const taking = stage.branches.filter((branch) => takes(branch, part));
        if (taking.length === 0) out.push(part);
        for (const branch of taking) collect(() => orCut(reference(branch, [part])));
        break;
      }
      case "route":
        collect(() => orCut(reference(stage.routes[stage.select(part)] ?? [], [part])));
        break;
      case "take":
        if (seen <= stage.count) out.push(part);
        if (seen >= stage.count) return out;
        break;
      case "skip":
        if (seen > stage.count) out.push(part);
        break;
      case "isolate":
        out.push(...reference(stage.stages, [part]).parts);
        break;
      case "batch":
        group.push(part);
        if (group.length === stage.count) {
          const full = group;
          group = [];
          collect(() => orCut(reference(stage.stages, full)));
        }
    }
  }
  if (stage.verb === "batch" && group.length > 0 && whole) collect(() => orCut(reference(stage.stages, group)));
  return out;
}

function orCut({ parts, failure }: ReferenceResult): readonly Part[] {
  if (failure !== undefined) throw new Cut(parts, failure.error);
  return parts;
}

/** Does a function of the branch run for the part? */
function takes(branch: readonly ReferenceStage[], part: Part): boolean {
  return branch.length === 0 || branch.some((stage) => stage.verb !== "each" || stage.match === undefined || stage.match(part));
}
