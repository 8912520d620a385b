/**
 * Debian packages without root and without touching the system: fetched with private lists and unpacked into a folder.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** The newest stable suite, whose sources may be built for an older one. */
const newest = "trixie";
/** Milliseconds for one call of apt: a machine without a network must not hold up the tests. */
const limitMs = 120_000;

/** apt with lists of its own. */
export interface PrivateApt {
  /** Is there a package of this name for the machine's suite? */
  has(name: string): boolean;
  /** The packages that a package depends on and the machine does not have, itself included if it is missing. */
  missing(...names: readonly string[]): readonly string[];
  /** Fetches packages, without what they depend on, and unpacks them. */
  unpack(names: readonly string[], into: string): void;
  /** Fetches the source of a package of the newest suite; gives the folder with the unpacked original. */
  source(name: string, into: string): string;
  /** What a meta package depends on first: `postgresql` gives `postgresql-15`. */
  first(meta: string): string | undefined;
}

/** Updates private lists below `folder`, of the machine's suite unless another is named. Throws with the reason where there is no apt or no mirror. */
export function privateApt(folder: string, named?: string): PrivateApt {
  if (!existsSync("/usr/bin/apt-get")) throw new Error("no apt-get");
  const suite = named ?? /^VERSION_CODENAME=(.+)$/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1];
  const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
  if (suite === undefined || !existsSync(keyring)) throw new Error("not Debian");
  const mirror = call("apt-get", ["indextargets", "--format", "$(REPO_URI)"]).split("\n").find((line) => /\/debian\/?$/.test(line));
  if (mirror === undefined) throw new Error("apt knows no Debian mirror");
  for (const name of ["lists/partial", "cache/archives/partial"]) mkdirSync(join(folder, name), { recursive: true });
  const list = join(folder, "sources.list");
  writeFileSync(list, `deb [signed-by=${keyring}] ${mirror} ${suite} main\ndeb-src [signed-by=${keyring}] ${mirror} ${newest} main\n`);
  const options = [`Dir::Etc::sourcelist=${list}`, "Dir::Etc::sourceparts=-", `Dir::State::lists=${join(folder, "lists")}`, `Dir::Cache=${join(folder, "cache")}`];
  const flags = [...options, "Acquire::Retries=1", "APT::Get::AllowUnauthenticated=false"].flatMap((option) => ["-o", option]);
  call("apt-get", [...flags, "update", "-qq"]);
  return {
    has: (name) => spawnSync("apt-cache", [...flags, "show", name]).status === 0,
    missing(...names) {
      const plan = call("apt-get", [...flags, "install", "--simulate", "--no-install-recommends", ...names]);
      return [...plan.matchAll(/^Inst (\S+)/gm)].flatMap(([, name]) => name ?? []);
    },
    unpack(names, into) {
      if (names.length === 0) return;
      const debs = join(folder, "debs");
      rmSync(debs, { recursive: true, force: true });
      mkdirSync(debs);
      mkdirSync(into, { recursive: true });
      call("apt-get", [...flags, "download", "-qq", ...names], debs);
      for (const deb of readdirSync(debs)) call("dpkg-deb", ["-x", join(debs, deb), into]);
      rmSync(debs, { recursive: true, force: true });
    },
    source(name, into) {
      mkdirSync(join(into, name), { recursive: true });
      call("apt-get", [...flags, "source", "-qq", "--download-only", name], into);
      const tar = readdirSync(into).find((file) => file.includes(".orig.tar."));
      if (tar === undefined) throw new Error(`no source of ${name}`);
      call("tar", ["xf", join(into, tar), "-C", join(into, name), "--strip-components=1"]);
      return join(into, name);
    },
    first: (meta) => /^\s*Depends: (\S+)/m.exec(call("apt-cache", [...flags, "depends", meta]))?.[1],
  };
}

/** Runs a command and gives what it printed; throws with the end of what it complained about. */
export function call(command: string, args: readonly string[], cwd?: string, env?: NodeJS.ProcessEnv): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    encoding: "utf8",
    timeout: limitMs,
    env: { ...process.env, ...env, LC_ALL: "C", DEBIAN_FRONTEND: "noninteractive" },
    maxBuffer: 64 * 1024 * 1024,
    ...(cwd === undefined ? {} : { cwd }),
  });
  if (status === 0) return stdout;
  const why = error?.message ?? stderr.trim().split("\n").slice(-5).join("; ");
  throw new Error(`${command} ${args.filter((arg) => !arg.includes("::") && arg !== "-o").join(" ")}: ${why}`);
}
