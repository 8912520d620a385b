/**
 * The services of W10 in a process of their own, whose processor time is not counted: prints its address, and ends with its input.
 *
 * @module
 */
import { sseAnswer } from "../../src/testing/wire-answers.ts";
import { wireServer } from "../../src/testing/wire-server.ts";
import { answers } from "./model-answers.ts";

const server = await wireServer({
  answer({ path }) {
    const frames = Object.entries(answers).find(([end]) => path.replace(/\?.*/, "").endsWith(end))?.[1];
    return frames === undefined ? { status: 404 } : sseAnswer(frames);
  },
});
console.log(server.url);
process.stdin.resume().once("end", () => void server.close());
