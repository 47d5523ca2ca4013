/** What nft and the kernel say when they refuse rules, in words that a person can act on. */
import { TrysailError } from '../../lib/errors.ts';

interface Complaint {
  readonly line: number | undefined;
  readonly message: string;
}

/** The first complaint in nft's output: `<file>:<line>:<columns>: Error: <message>`, the place missing where it has none. */
function firstComplaint(output: string): Complaint | undefined {
  const placed = /^[^\n]*?:(?<line>\d+):\d+-\d+: Error: (?<message>[^\n]+)/m.exec(output)?.groups;
  const bare = /(?:^|\n)(?:netlink: )?Error: (?<message>[^\n]+)/.exec(output)?.groups;
  if (placed !== undefined) return { line: Number(placed['line']), message: placed['message'] ?? '' };
  return bare === undefined ? undefined : { line: undefined, message: bare['message'] ?? '' };
}

/** What helps against a complaint, by its words and those of the rule. */
function remedyFor(message: string, rule: string, output: string): string {
  if (/cgroupv2 path/.test(message) || /socket cgroupv2/.test(rule))
    return 'The unit must be running, and /sys/fs/cgroup must be cgroup v2 (boot with systemd.unified_cgroup_hierarchy=1); or name a user instead of a unit.';
  if (/not permitted/i.test(message))
    return 'Setting rules needs CAP_NET_ADMIN, and the table inet trysail must not belong to another process: run as root, or start trysail-capture.service.';
  if (/tproxy/.test(rule) && /No such file|not supported/i.test(message))
    return 'The kernel lacks nft_tproxy: load the module, or use capture: redirect.';
  if (/No such file|not supported/i.test(message))
    return 'The kernel lacks a part of nftables that the rule needs (nft_redir, nft_nat, nft_fib_inet, nft_socket, nft_reject_inet): load the module; docs/capture.md says what each is for.';
  if (/nft: (?:command )?not found|nft: No such file/.test(output))
    return 'Install nftables (Debian: apt-get install nftables).';
  return 'Show the rules with "trysail capture plan", and report this: it is a defect, or an nft that is too old (1.0 is tried).';
}

/** Whether the complaint is that tables cannot have an owner: the kernel is older than 5.12, or nft than 1.0. */
export function lacksOwner(output: string, ruleset: string): boolean {
  const complaint = firstComplaint(output);
  if (complaint === undefined) return false;
  const rule = complaint.line === undefined ? '' : (ruleset.split('\n')[complaint.line - 1] ?? '');
  return /flags owner/.test(rule) && !/not permitted/i.test(complaint.message);
}

/**
 * Nft's output as an error; undefined when it holds none.
 * @param ruleset the text that it was given, whose lines it names
 */
export function nftError(output: string, ruleset: string): TrysailError | undefined {
  const missing = /nft: (?:command )?not found|nft: No such file/.test(output);
  const complaint = missing ? { line: undefined, message: 'nft is not installed' } : firstComplaint(output);
  if (complaint === undefined) return undefined;
  const { line, message } = complaint;
  const rule = line === undefined ? '' : (ruleset.split('\n')[line - 1]?.trim() ?? '');
  const place = line === undefined ? '' : `, line ${line} (${rule})`;
  return new TrysailError('CAPTURE_REFUSED', `the rules of capture were refused${place}: ${message}`, {
    remedy: remedyFor(message, rule, output),
  });
}
