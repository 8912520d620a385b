// Hello: a processor is a function from a stream of parts to a stream of parts.
//
// prints: HELLO WORLD
import { each, isText, run } from "millrace";

const shout = each((part) => (isText(part) ? part.text.toUpperCase() : part));

console.log(await run(shout, ["hello ", "world"]).text());
