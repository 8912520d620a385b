/**
 * One thread of tesseract.js: opened, asked, and ended whatever it is doing.
 *
 * tesseract.js ends a promise it rejects with a second, uncaught error unless it has an `errorHandler`, never settles
 * `createWorker` when the data cannot be loaded, and prints what its engine complains about; all three are dealt with here.
 *
 * @module
 */
import { type ErrorScope, MillraceError } from "../../core/errors.ts";

/** What was read of one image. */
export interface OcrPage {
  readonly text: string;
  /** 0 to 100, as the engine estimates it. */
  readonly confidence: number;
}

/** What to open a thread with. */
export interface OcrSettings {
  /** `eng`, `eng+deu`. */
  readonly languages: string;
  /** A folder, never an address. */
  readonly langPath: string;
  readonly gzip: boolean;
  /** `tessedit_pageseg_mode`. */
  readonly segmentation: string;
}

/** The engine made nothing of these bytes. */
export interface Unreadable {
  readonly why: string;
}

/** One thread. */
export interface OcrWorker {
  /** Reads one image at a time. On abort the thread ends: there is no other way to stop it. */
  read(image: Uint8Array, signal: AbortSignal): Promise<OcrPage | Unreadable>;
  /** Has it ended? Then it can be asked nothing more. */
  readonly ended: boolean;
  close(): Promise<void>;
}

// --- the calls used of tesseract.js ---

interface Thread {
  on(event: "error" | "exit", listener: (why: unknown) => void): unknown;
  terminate(): Promise<unknown>;
  readonly stderr?: { unpipe?(): unknown; resume?(): unknown } | null;
}
interface TesseractWorker {
  readonly worker: Thread;
  setParameters(parameters: Readonly<Record<string, string>>): Promise<unknown>;
  recognize(image: Uint8Array, options: object, output: { readonly text: true }): Promise<{ readonly data: OcrPage }>;
}
/** The module, however the runtime hands on its CommonJS. */
export interface TesseractModule {
  createWorker(languages: string, engine: number, options: object): Promise<TesseractWorker>;
}

/** The neural engine alone; the old one needs four times the data. */
const lstmOnly = 1;

/** Opens a thread: about half a second, most of it for the data. */
export async function openWorker(module: TesseractModule, { languages, langPath, gzip, segmentation }: OcrSettings): Promise<OcrWorker> {
  const worker = await new Promise<TesseractWorker>((resolve, reject) => {
    const options = {
      langPath,
      gzip,
      cacheMethod: "none", // the data is on the disk already; the default writes a second copy into the working directory
      errorHandler: (why: unknown) => reject(failed(`cannot be opened with ${languages} of ${langPath}`, why)),
      logger: () => {},
    };
    module.createWorker(languages, lstmOnly, options).then(resolve, (why: unknown) => reject(failed("cannot be opened", why)));
  });
  const { worker: thread } = worker;
  thread.stderr?.unpipe?.();
  thread.stderr?.resume?.();
  await worker.setParameters({ tessedit_pageseg_mode: segmentation });

  let ended = false;
  let fail: (why: unknown) => void = () => {};
  const end = async (why: unknown): Promise<void> => {
    ended = true;
    fail(why);
    await thread.terminate();
  };
  thread.on("error", (why) => {
    ended = true;
    fail(failed("broke", why, "part"));
  });
  thread.on("exit", () => {
    ended = true;
    fail(failed("ended", undefined, "part"));
  });
  return {
    get ended() {
      return ended;
    },
    async read(image, signal) {
      signal.throwIfAborted();
      const abort = (): void => void end(signal.reason).catch(() => {});
      signal.addEventListener("abort", abort, { once: true });
      try {
        const answer = await new Promise<{ readonly data: OcrPage }>((resolve, reject) => {
          fail = reject;
          worker.recognize(image, {}, { text: true }).then(resolve, reject);
        });
        return { text: answer.data.text, confidence: answer.data.confidence };
      } catch (why) {
        if (signal.aborted) throw signal.reason;
        if (why instanceof MillraceError) throw why;
        // an engine that trapped may hold half of the last image; one that says it cannot read is as good as before
        if (!/attempting to read image/.test(String(why))) await end(why);
        return { why: String(why).replace(/^(?:Error: )+/, "") };
      } finally {
        fail = () => {};
        signal.removeEventListener("abort", abort);
      }
    },
    close: () => end(new MillraceError("closed", "tesseract: closed while an image was being read", { service: "tesseract" })),
  };
}

/** Of scope `part` while an image is read: the next one gets a new thread, and may well be read. */
function failed(what: string, cause: unknown, scope: ErrorScope = "process"): MillraceError {
  const why = cause === undefined ? "" : `: ${cause instanceof Error ? cause.message : String(cause)}`;
  return new MillraceError("unavailable", `tesseract: the engine ${what}${why}`, { service: "tesseract", scope, retryable: false, cause });
}
