/**
 * Where the engine and its language data are on this machine.
 *
 * All of it is looked for before a thread is opened: tesseract.js itself would fetch what it does not find, or wait for ever.
 *
 * @module
 */
import { MillraceError } from "../../core/errors.ts";
import type { TesseractModule } from "./worker.ts";

/** The engine's module, and the folder of the data. */
export interface TesseractData {
  readonly module: TesseractModule;
  readonly langPath: string;
  readonly gzip: boolean;
}

/** Finds both. Throws `missing_config` with what to install, or what is missing from the folder. */
export async function findData(languages: readonly string[], langPath: string | undefined): Promise<TesseractData> {
  const [{ access }, { dirname, join }, { createRequire }] = await Promise.all([import("node:fs/promises"), import("node:path"), import("node:module")]);
  const exists = (path: string): Promise<boolean> => access(path).then(() => true, () => false);
  const module = await load();
  const [first = "eng"] = languages;
  const folders: string[] = [];
  if (langPath !== undefined) folders.push(langPath);
  else {
    const name = `@tesseract.js-data/${first}`;
    try {
      const home = dirname(createRequire(import.meta.url).resolve(`${name}/package.json`));
      // the same data twice: integers for the neural engine alone are a quarter of the size
      folders.push(join(home, "4.0.0_best_int"), join(home, "4.0.0"));
    } catch (cause) {
      throw missing(`the language data is not installed: npm install ${name}`, cause);
    }
  }
  for (const folder of folders) {
    for (const ending of [".gz", ""]) {
      const there = await Promise.all(languages.map((language) => exists(join(folder, `${language}.traineddata${ending}`))));
      if (there.every(Boolean)) return { module, langPath: folder, gzip: ending !== "" };
    }
  }
  throw missing(`no ${languages.map((language) => `${language}.traineddata`).join(", ")} in ${folders[0] ?? "any folder"}, gzipped or not`);
}

async function load(): Promise<TesseractModule> {
  try {
    const loaded: object = await import("tesseract.js");
    const module: unknown = "createWorker" in loaded ? loaded : Reflect.get(loaded, "default");
    if (isModule(module)) return module;
  } catch (cause) {
    throw missing("the package is not installed: npm install tesseract.js", cause);
  }
  throw missing("the package has no createWorker; versions 5 to 7 do");
}

function isModule(value: unknown): value is TesseractModule {
  return typeof value === "object" && value !== null && "createWorker" in value && typeof value.createWorker === "function";
}

function missing(what: string, cause?: unknown): MillraceError {
  return new MillraceError("missing_config", `tesseract: ${what}`, { service: "tesseract", ...(cause === undefined ? {} : { cause }) });
}
