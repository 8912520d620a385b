/**
 * What a turn asks for: the options of the model, and what wrappers further out ask of this turn.
 *
 * @module
 */
import type { Asked, ModelTool, OutputSchema, ToolChoice } from "../core/asked.ts";
import { MillraceError } from "../core/errors.ts";

/** What the options of a model say. */
export interface StandingAsks<T = OutputSchema> {
  readonly tools?: readonly ModelTool[] | undefined;
  readonly toolChoice?: ToolChoice | undefined;
  readonly output?: T | undefined;
}

/** Both, as one: tools of the turn behind those of the options, its other words instead of theirs. Throws `invalid_input` for two tools of one name. */
export function asking<T>(who: string, standing: StandingAsks<T>, { tools = [], toolChoice, output }: Asked): StandingAsks<T | OutputSchema> {
  const all = [...(standing.tools ?? []), ...tools];
  const names = new Set<string>();
  for (const { name } of all) {
    if (names.has(name)) throw new MillraceError("invalid_input", `${who}: two tools are named ${name.slice(0, 64)}`, { service: who });
    names.add(name);
  }
  return { tools: all.length === 0 ? undefined : all, toolChoice: toolChoice ?? standing.toolChoice, output: output ?? standing.output };
}
