/**
 * LangChain's own package, where its classes are needed.
 *
 * @module
 */
import { MillraceError } from "../../core/errors.ts";

/** Waits for an import; `missing_config` where the package is not installed. */
export async function loaded<T>(who: string, importing: Promise<T>): Promise<T> {
  try {
    return await importing;
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
    if (code !== "ERR_MODULE_NOT_FOUND" && code !== "MODULE_NOT_FOUND") throw cause;
    throw new MillraceError("missing_config", `${who}: needs a package that is not installed: npm install @langchain/core@^1`, { service: "langchain", cause });
  }
}
