/**
 * A reader in a process of its own: `reader.ts ID INPUTS TOLD`. Prints each result on a line.
 *
 * @module
 */
import { isText } from "../../../src/index.ts";
import { pipelineOf } from "./pipelines.ts";

const [id = "", inputs = "[]", told = ""] = process.argv.slice(2);
for await (const part of pipelineOf(JSON.parse(told)).run(JSON.parse(inputs) as string[], { id })) console.log(isText(part) ? part.text : part.kind);
