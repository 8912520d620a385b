/**
 * The programs of Postgres: a private copy with pgvector in it, made once and kept in the project's ignored cache folder.
 *
 * @module
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { call, type PrivateApt, privateApt } from "./debian.ts";
import { firstFile } from "./host.ts";

const cache = join(import.meta.dirname, "..", "..", ".cache", "services");

/** Where the programs are. */
export interface PostgresTree {
  /** The folder of `postgres` and `initdb`. */
  readonly bin: string;
  /** Below it is all that the programs need. `undefined` for those of the system. */
  readonly root: string | undefined;
  /** For the printed line. */
  readonly from: string;
  /** Why there is no pgvector in it, as far as is known. */
  readonly withoutVector?: string;
}

/** The private copy if there is one, else made now, else the system's own; throws with the reason where there is neither. */
export function postgresTree(): PostgresTree {
  const kept = keptTree();
  if (kept !== undefined) return kept;
  let why: string;
  try {
    return makeTree();
  } catch (error) {
    why = error instanceof Error ? error.message : String(error);
  }
  const binary = firstFile("/usr/lib/postgresql/17/bin/postgres", "/usr/lib/postgresql/16/bin/postgres", "/usr/lib/postgresql/15/bin/postgres", "postgres");
  if (binary === undefined) throw new Error(`no postgres on this machine, and none could be fetched: ${why}`);
  return { bin: join(binary, ".."), root: undefined, from: binary, withoutVector: `pgvector could not be had: ${why}` };
}

function keptTree(): PostgresTree | undefined {
  if (!existsSync(cache)) return undefined;
  for (const name of readdirSync(cache).filter((name) => /^postgres-\d+-pgvector-[\w.]+$/.test(name)).sort().reverse()) {
    const root = join(cache, name);
    const versions = join(root, "usr/lib/postgresql");
    const [major] = existsSync(join(root, "made")) ? readdirSync(versions) : [];
    if (major !== undefined) return { bin: join(versions, major, "bin"), root, from: readFileSync(join(root, "made"), "utf8").trim() };
  }
  return undefined;
}

/** Fetches, builds and puts in place; what was there first stays when two do it at once. */
function makeTree(): PostgresTree {
  console.log("services: fetching Postgres and pgvector (once, into .cache/services)");
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(cache, "making-"));
  try {
    const apt = privateApt(join(work, "apt"));
    const server = apt.first("postgresql");
    const major = /^postgresql-(\d+)$/.exec(server ?? "")?.[1];
    if (major === undefined) throw new Error(`the suite has no postgresql, but ${server}`);
    const root = join(work, "root");
    const programs = [`postgresql-${major}`, `postgresql-client-${major}`];
    apt.unpack([...programs, ...apt.missing(...programs).filter((name) => name.startsWith("lib"))], root);
    const version = apt.has(`postgresql-${major}-pgvector`) ? packaged(apt, major, root) : built(apt, major, root, work);
    const postgres = call(join(root, "usr/lib/postgresql", major, "bin/postgres"), ["--version"], undefined, libraryPath(root)).trim();
    for (const name of ["usr/share/locale", "usr/share/doc", "usr/include"]) rmSync(join(root, name), { recursive: true, force: true });
    writeFileSync(join(root, "made"), `${postgres}, pgvector ${version}\n`);
    const kept = join(cache, `postgres-${major}-pgvector-${version}`);
    if (!existsSync(kept)) renameSync(root, kept);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  const made = keptTree();
  if (made === undefined) throw new Error("the copy was made and is not there");
  return made;
}

function packaged(apt: PrivateApt, major: string, root: string): string {
  apt.unpack([`postgresql-${major}-pgvector`], root);
  return versionOf(join(root, "usr/share/postgresql", major, "extension/vector.control"));
}

/** From the source of the newest suite. The server finds `share` relative to its own binary, so both stay below one root. */
function built(apt: PrivateApt, major: string, root: string, work: string): string {
  const lacking = ["cc", "make"].filter((tool) => firstFile(tool) === undefined);
  if (lacking.length > 0) throw new Error(`pgvector must be built, and there is no ${lacking.join(" and no ")} (package build-essential)`);
  apt.unpack([`postgresql-server-dev-${major}`], root);
  const source = apt.source("pgvector", join(work, "source"));
  const config = `PG_CONFIG=${join(root, "usr/lib/postgresql", major, "bin/pg_config")}`;
  // with_llvm=no: no bitcode, so no clang; OPTFLAGS= : no -march=native, which another machine could not run
  for (const target of ["all", "install"]) call("make", [target, "CC=cc", "with_llvm=no", "OPTFLAGS=", config], source, libraryPath(root));
  return versionOf(join(source, "vector.control"));
}

function versionOf(control: string): string {
  return /default_version = '([\w.]+)'/.exec(readFileSync(control, "utf8"))?.[1] ?? "unknown";
}

/** Libraries that the machine does not have lie beside the programs. */
export function libraryPath(root: string | undefined): NodeJS.ProcessEnv {
  if (root === undefined) return {};
  const folders = ["usr/lib", "lib"].flatMap((lib) => {
    const path = join(root, lib);
    return existsSync(path) ? [path, ...readdirSync(path).filter((name) => name.endsWith("-linux-gnu")).map((name) => join(path, name))] : [];
  });
  return { LD_LIBRARY_PATH: folders.join(":") };
}
