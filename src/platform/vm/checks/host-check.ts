/** What a check of this host is: a function from what the host shows and what the configuration needs to findings. */
import type { Diagnostic, Severity } from '../../../model/diagnostic.ts';

/** A program that waits for connections or datagrams. */
export interface Listener {
  /** `0.0.0.0` and `::` for all. */
  readonly address: string;
  readonly port: number;
  readonly uid: number;
  /** Undefined when it belongs to another user, whose open files are hidden from us. */
  readonly pid: number | undefined;
  /** The program's path or name. */
  readonly program: string | undefined;
}

export interface FileFacts {
  readonly kind: 'file' | 'folder' | 'other';
  /** The permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

export interface RunResult {
  /** Undefined: ended by a signal or the time limit. */
  readonly code: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

export interface DiskSpace {
  readonly freeBytes: number;
  readonly totalBytes: number;
  readonly freeFiles: number;
  /** 0 where the file system has no such limit. */
  readonly totalFiles: number;
}

/** How a DNS server answered: its addresses, or the code of Node's resolver (`ENOTFOUND`, `ETIMEOUT`, `ESERVFAIL`). */
export type DnsAnswer = { readonly addresses: readonly string[] } | { readonly error: string };

/** All that checks see of the host; none of its functions rejects or changes anything. */
export interface HostIo {
  /** Undefined: it is not there or not readable. */
  read(path: string): Promise<string | undefined>;
  /** The names in a folder; undefined: it is not there or not readable. */
  list(path: string): Promise<readonly string[] | undefined>;
  /** Follows links; undefined: there is none, or its folder is closed to us. */
  stat(path: string): Promise<FileFacts | undefined>;
  /** Where a symbolic link finally leads; the path itself when it is none; undefined: nothing is there. */
  target(path: string): Promise<string | undefined>;
  /** Of the file system that a path, or what is there of its folders, is on. */
  space(path: string): Promise<DiskSpace | undefined>;
  /** Runs a program of `PATH` or of the folders for administrators; undefined: it is not installed. */
  run(program: string, args: readonly string[], input?: string): Promise<RunResult | undefined>;
  /** All listeners of this network namespace. */
  listeners(protocol: 'tcp' | 'udp'): Promise<readonly Listener[]>;
  /** Asks one DNS server (`address` or `address:port`) for the A records of a name. */
  ask(server: string, name: string): Promise<DnsAnswer>;
  /** The JSON that a program answers over its Unix socket; undefined: it does not. */
  getJson(socket: string, path: string): Promise<unknown>;
  /** The addresses of all interfaces. */
  addresses(): readonly string[];
  /** Of the user who checks; 0: root. */
  readonly uid: number;
  /** Wall clock, milliseconds since 1970. */
  now(): number;
}

/** A port that Envoy or the agent opens. */
export interface NeededPort {
  /** What for, such as `service default/reviews`. */
  readonly object: string;
  readonly protocol: 'tcp' | 'udp';
  readonly address: string;
  readonly port: number;
  /** Whether peers on other hosts dial it. */
  readonly fromPeers: boolean;
}

/** An application of this host, as agent.yaml describes it. */
export interface NeededApplication {
  readonly object: string;
  readonly address: string;
  readonly port: number;
  /** Whether peers must come through Envoy, so that the application itself has to be out of their reach. */
  readonly guarded: boolean;
}

/** What the host's configuration needs of it. */
export interface HostNeeds {
  readonly hostAddress: string;
  /** From agent.yaml; false: defaults, because the file has errors. */
  readonly known: boolean;
  /** That Envoy opens. */
  readonly ports: readonly NeededPort[];
  /** That peers dial and applications open: captured ones, and those of services that Envoy does not stand before. */
  readonly dialled: readonly NeededPort[];
  readonly applications: readonly NeededApplication[];
  /** Traffic is captured by nftables; what for each kind. */
  readonly capture: {
    readonly redirect: boolean;
    /** By the cgroup of a unit. */
    readonly cgroup: boolean;
    readonly tproxy: boolean;
  };
  /** Units, users and interfaces that agent.yaml names. */
  readonly units: readonly string[];
  readonly users: readonly string[];
  readonly interfaces: readonly string[];
  /** Where Envoy answers DNS, and for which domains; undefined: it does not. */
  readonly dns: { readonly address: string; readonly port: number; readonly domains: readonly string[] } | undefined;
  readonly paths: { readonly config: string; readonly state: string; readonly run: string };
  /** Files with secrets that agent.yaml names. */
  readonly secrets: readonly string[];
  /** Pids of our own Envoy, whose listeners are ours. */
  readonly envoyPids: readonly number[];
}

export interface CheckContext {
  readonly io: HostIo;
  readonly needs: HostNeeds;
  /** Aborts when the check's time is over. */
  readonly signal: AbortSignal;
}

export interface CheckOutcome {
  /** What was looked at and is so, in a few words each. */
  readonly facts: readonly string[];
  readonly findings: readonly Diagnostic[];
  /** Why it does not apply or cannot be judged; then there are no findings. */
  readonly skipped?: string;
}

export interface HostCheck {
  /** Stable: in `-o json`, as an argument of `trysail check`, in docs/check.md. */
  readonly name: string;
  /** Judges what only agent.yaml can say: left out while that has errors. */
  readonly needsConfiguration?: boolean;
  /** Default: 5 s. */
  readonly timeoutMs?: number;
  run(context: CheckContext): Promise<CheckOutcome>;
}

/** A finding; every one has a remedy. */
export function finding(code: string, severity: Severity, object: string, message: string, remedy: string): Diagnostic {
  return { code, severity, object, message, remedy };
}
