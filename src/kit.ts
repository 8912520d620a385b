/**
 * What adapters are made of: everything that the adapters of this package use, for those who write their own.
 *
 * @module
 */
export { fromBase64, toBase64 } from "./core/base64.ts";
export { type Clock, sleepOn, systemClock } from "./core/clock.ts";
export { invalidOption, isMillraceError, MillraceError, received, wholeNumber } from "./core/errors.ts";
export { isTrustedSystem } from "./core/system-brand.ts";
