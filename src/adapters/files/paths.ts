/**
 * Which paths below the root may be named, and where an opened file really lies.
 *
 * Names are checked as text first, then what was opened is looked at: a link may be swapped between a check and an open, but
 * not behind a handle.
 *
 * @module
 */
import type { FileHandle } from "node:fs/promises";
import { invalidOption, MillraceError, received } from "../../core/errors.ts";
import { checkKey } from "../../kinds/blob-keys.ts";
import { failed, hasCode } from "./errors.ts";

/** Device names of Windows, also with an ending: `CON`, `com1.txt`. Refused everywhere, so that a tree can move. */
const deviceName = /^(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(?:\.|$)/i;

/** Files that a write has not finished yet; never listed, never named. */
const temporaryName = /^\.millrace-[0-9a-f-]{36}\.tmp$/;

/** The name of a file that is being written. */
export function temporary(): string {
  return `.millrace-${crypto.randomUUID()}.tmp`;
}

/**
 * Refuses a path that is not plainly below a root, on any system: what `checkKey` refuses (so `..`, absolute ones, NUL, UNC),
 * drives, device names, and segments that end in a dot or a space, which Windows would drop.
 */
export function checkPath(who: string, path: unknown): string {
  const key = checkKey(who, path);
  const bad = key.split("/").find((name) => deviceName.test(name) || /[. ]$/.test(name) || temporaryName.test(name));
  if (bad !== undefined || /^[A-Za-z]:/.test(key) || (process.platform === "win32" && /[:<>"|?*]/.test(key))) {
    throw new MillraceError("refused", `${who}: a path must have no drive, no reserved name and no dot or space at an end, got ${received(key)}`);
  }
  return key;
}

/** The address of a path; relative to the root, because where that lies is nobody else's affair. */
export function addressOf(name: string, path: string): string {
  return `files://${encodeURIComponent(name)}/${path.split("/").map(encodeURIComponent).join("/")}`;
}

/** Can it be named by a key? For names found in a directory. */
export function isNameable(path: string): boolean {
  try {
    checkPath("files", path);
    return true;
  } catch {
    return false;
  }
}

/** The root as it really lies. */
export class Root {
  readonly #who: string;
  readonly #given: string;
  #real: Promise<string> | undefined;

  constructor(who: string, root: unknown) {
    if (typeof root !== "string" || root === "" || root.includes("\0")) throw invalidOption(who, "root", "the path of a directory", root);
    this.#who = who;
    this.#given = root;
  }

  /** Looked up at first use; a root that is not there yet may come. */
  real(): Promise<string> {
    return (this.#real ??= this.#look().catch((error: unknown) => {
      this.#real = undefined;
      throw error;
    }));
  }

  async #look(): Promise<string> {
    const { realpath, stat } = await import("node:fs/promises");
    try {
      const real = await realpath(this.#given);
      if ((await stat(real)).isDirectory()) return real;
    } catch (error) {
      throw failed(this.#who, "root", error, "dependency");
    }
    throw new MillraceError("not_found", `${this.#who}: root is no directory`, { scope: "dependency" });
  }

  /** The path of the system for a checked one of ours. */
  async resolve(path: string): Promise<string> {
    const { join } = await import("node:path");
    return join(await this.real(), ...path.split("/"));
  }

  /** Refuses a real path that is not the root or below it. */
  async confine(real: string, path: string): Promise<void> {
    const { sep } = await import("node:path");
    const root = await this.real();
    const inside = real === root || real.startsWith(root.endsWith(sep) ? root : root + sep);
    if (!inside) throw new MillraceError("refused", `${this.#who}: "${path}" leads out of the root`);
  }

  /**
   * Opens a regular file below the root for reading; the caller closes it.
   *
   * Opened without blocking, so that a pipe with no writer does not hang; then the handle tells what it is and where it lies.
   */
  async open(path: string): Promise<FileHandle> {
    const { constants, open } = await import("node:fs/promises");
    const target = await this.resolve(path);
    let handle: FileHandle | undefined;
    try {
      handle = await open(target, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
      const opened = await handle.stat();
      if (opened.isDirectory()) throw new MillraceError("not_found", `${this.#who}: "${path}" is a directory`);
      if (!opened.isFile()) throw new MillraceError("refused", `${this.#who}: "${path}" is no regular file`);
      await this.confine(await this.#placeOf(handle, target, path), path);
      return handle;
    } catch (error) {
      await handle?.close();
      throw failed(this.#who, path, error);
    }
  }

  /** Where an opened file lies. A path looked up a second time may be another one by now, so Linux is asked about the handle. */
  async #placeOf(handle: FileHandle, target: string, path: string): Promise<string> {
    const { lstat, readlink, realpath } = await import("node:fs/promises");
    if (process.platform === "linux") {
      try {
        return await readlink(`/proc/self/fd/${handle.fd}`); // ends in " (deleted)" when it was replaced meanwhile: still below the root
      } catch (error) {
        if (!hasCode(error, "ENOENT")) throw error; // a system without /proc
      }
    }
    // elsewhere: the path must lead to the very file, and hold no link, before and after
    const opened = await handle.stat({ bigint: true });
    for (let attempt = 0; attempt < 5; attempt += 1) {
      const real = await realpath(target);
      const there = await lstat(real, { bigint: true });
      if (there.dev === opened.dev && there.ino === opened.ino && (await realpath(real)) === real) return real;
    }
    throw new MillraceError("refused", `${this.#who}: "${path}" was swapped while it was opened`);
  }

  /**
   * The real path of the directory that a file belongs in; `undefined` where there is none and none is to be made. What the
   * file system throws comes as it is.
   */
  async parent(path: string, make: boolean): Promise<string | undefined> {
    const { mkdir, realpath } = await import("node:fs/promises");
    const { join } = await import("node:path");
    let real = await this.real();
    // one level at a time: making all at once would follow a link out before anybody looked
    for (const name of path.split("/").slice(0, -1)) {
      const next = join(real, name);
      try {
        if (make) await mkdir(next, { mode: 0o700 });
      } catch (error) {
        if (!hasCode(error, "EEXIST")) throw error;
      }
      try {
        real = await realpath(next);
      } catch (error) {
        if (!make && (hasCode(error, "ENOENT") || hasCode(error, "ENOTDIR"))) return undefined;
        throw error;
      }
      await this.confine(real, path);
    }
    return real;
  }
}
