/**
 * What acknowledgements on their way settle, and what may come with their answers.
 *
 * @module
 */

/** Counts messages, both ways. */
export class Exchange {
  /** Messages that are being acknowledged. */
  going = 0;
  /** New ones that may come. */
  coming = 0;
  /** Resolves when all of them have come, or never will. */
  over: Promise<void> = Promise.resolve();

  /** A call begins; the function says that it has ended. */
  begin(going: number, coming: number): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    const others = this.over;
    this.over = promise.then(() => others);
    this.going += going;
    this.coming += coming;
    return () => {
      this.going -= going;
      this.coming -= coming;
      resolve();
    };
  }
}
