/**
 * @module
 */
import { type Content, type Input, readContent } from "../core/content.ts";
import { DONE, type Flow, isPart, type Pulled } from "../core/flow.ts";
import { streamOf } from "../core/from.ts";
import { Fused } from "../core/fused.ts";
import type { Part } from "../core/part.ts";
import type { Scope } from "../core/scope.ts";

/**
 * Sources one after the other, each opened when its turn comes.
 *
 * Reads:  whatever `from` takes.
 * Throws: what the source at hand throws; later ones are then never opened.
 *
 * @example
 * console.log(await run(pipe(), concat("a", ["b", "c"])).text()); // abc
 */
export function concat(...streams: readonly Input[]): AsyncIterable<Part> {
  const contents = streams.map(readContent);
  return streamOf({ open: (scope) => new Concatenated(contents, scope) });
}

class Concatenated implements Flow {
  private readonly contents: readonly Content[];
  private readonly scope: Scope;
  private at = 0;
  private current: Flow | undefined = undefined;

  constructor(contents: readonly Content[], scope: Scope) {
    this.contents = contents;
    this.scope = scope;
  }

  pull(): Pulled {
    for (;;) {
      const content = this.contents[this.at];
      if (content === undefined) return DONE;
      this.current ??= new Fused(content, [], this.scope);
      const pulled = this.current.pull();
      if (isPart(pulled)) return pulled;
      if (pulled !== DONE) return pulled.then(this.onPulled, this.onFailed);
      this.step();
    }
  }

  private step(): void {
    this.current = undefined;
    this.at += 1;
  }

  private readonly onPulled = (pulled: Part | typeof DONE): Pulled => {
    if (isPart(pulled)) return pulled;
    this.step();
    return this.pull();
  };

  private readonly onFailed = (error: unknown): never => {
    this.at = this.contents.length;
    throw error;
  };

  close(why: unknown): Promise<void> | undefined {
    this.at = this.contents.length;
    return this.current?.close(why);
  }
}
