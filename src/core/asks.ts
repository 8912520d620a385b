/**
 * A processor whose models are asked for something besides its input.
 *
 * @module
 */
import type { Asked } from "./asked.ts";
import { Branch } from "./branches.ts";
import { processorOf } from "./pipeline.ts";
import type { Processor } from "./processor.ts";

/**
 * Asks the models inside a processor for tools or for JSON, whatever wrappers lie between; instead of what was asked further out.
 *
 * Reads:  what the processor reads.
 * Yields: what it yields.
 * Throws: what it throws.
 * Closes: the processor.
 *
 * @example
 * const clock = { name: "clock", description: "The time.", parameters: { type: "object", properties: {} } };
 * const model = mockModel([[{ toolCall: { name: "clock" } }]]);
 * const parts = await run(asks(retry(model), { tools: [clock] }), "What time is it?").collect();
 * console.log(model.calls[0]?.asked.tools?.[0]?.name, parts[0]?.kind); // clock toolCall
 */
export function asks(processor: Processor, asked: Asked): Processor {
  return processorOf([{ kind: "flow", name: processor.name || "asks", open: (upstream, scope) => new Branch(processor, upstream, scope, undefined, { limits: { asked } }) }]);
}
