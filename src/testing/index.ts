/**
 * What pipelines are tested with, without a provider and without waiting.
 *
 * @module
 */
export { type FakeClock, fakeClock } from "./clock.ts";
export { blobStoreContract, type BlobStoreSubject } from "./contracts/blob-store.ts";
export { embedderContract } from "./contracts/embedder.ts";
export type { TestFunction, TestRunner } from "./contracts/runner.ts";
export { vectorStoreContract } from "./contracts/vector-store.ts";
export { reference, type ReferenceResult, type ReferenceStage } from "./reference.ts";
export { stalledSource, watchedSource, type WatchedOptions, type WatchedSource } from "./watched-source.ts";
