/**
 * Puts capture's rules into the kernel, through the process that owns them (`capture-holder.sh`): they are gone as soon
 * as the last Envoy is, whether or not an agent lives.
 */
import { spawn } from 'node:child_process';
import { constants, readFileSync } from 'node:fs';
import { mkdir, open, readFile, rm, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomic } from '../../lib/atomic-file.ts';
import { errorCode, errorMessage, TrysailError } from '../../lib/errors.ts';
import type { Log } from '../../lib/log.ts';
import { sleep } from '../../lib/sleep.ts';
import { captureFifo } from './capture-fifo.ts';
import type { CapturePlan } from './capture-plan.ts';
import { captureRuleset } from './capture-ruleset.ts';
import { lacksOwner, nftError } from './nft-error.ts';

/** How long nft may take for one transaction; thousands of rules take less than a second. */
const ANSWER_MS = 10_000;
const START_MS = 5000;
const POLL_MS = 5;

export interface CaptureHolderOptions {
  /** Where the holder and the agent meet: `/run/trysail-capture`, or a folder below `paths.run`. */
  readonly dir: string;
  /** The script, where the agent starts it itself; undefined: a systemd unit runs it. */
  readonly script: string | undefined;
  /** Where the rules for the time without a proxy are kept over a reboot. */
  readonly guardFile: string;
  readonly log: Log;
}

/** What is in force now. */
export interface AppliedCapture {
  /** As in `CaptureRuleset`. */
  readonly revision: string;
  /** False: this kernel has no owned tables, and the holder takes the rules away, not the kernel. */
  readonly owned: boolean;
}

export interface CaptureHolderStatus {
  /** Whether the process that owns the rules lives. */
  readonly alive: boolean;
  /** What this holder has applied last and not cleaned; undefined: nothing. */
  readonly applied: AppliedCapture | undefined;
  /** The rules go back by themselves unless confirmed. */
  readonly onTrial: boolean;
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** The text of rules that stay without a proxy, out of a whole transaction. */
function guardOf(text: string): string {
  const start = text.indexOf('add table inet trysail_guard');
  return start < 0 ? '' : text.slice(start);
}

/** Owner of one host's capture rules. Calls are made one after another by its user; it holds nothing open. */
export class CaptureHolder {
  readonly #options: CaptureHolderOptions;
  readonly #files: { readonly control: string; readonly output: string; readonly rules: string; readonly pid: string };
  #applied: AppliedCapture | undefined;
  #ownable = true;
  #guard = '';
  /** Process id of the holder that `#applied` is of. */
  #toldTo: number | undefined;

  constructor(options: CaptureHolderOptions) {
    const { dir } = options;
    this.#options = options;
    this.#files = {
      control: captureFifo(dir),
      output: join(dir, 'output'),
      rules: join(dir, 'rules.nft'),
      pid: join(dir, 'nft.pid'),
    };
  }

  /** The FIFO whose write end every Envoy has to hold: without a holder of it, rules do not stay. */
  get control(): string {
    return this.#files.control;
  }

  /** Whether the process that owns the rules lives. */
  get isAlive(): boolean {
    return this.#pid() !== undefined;
  }

  /** Starts the process that will own the rules, where no unit does; to be called before Envoy starts. */
  async start(): Promise<void> {
    await mkdir(this.#options.dir, { recursive: true, mode: 0o750 });
    if (this.isAlive) return;
    if (this.#options.script !== undefined) await this.#spawn(this.#options.script);
    await this.#until(START_MS, () => this.isAlive).catch((error: unknown) => {
      throw new TrysailError('CAPTURE_HOLDER_MISSING', `nothing holds capture's rules in ${this.#options.dir}`, {
        remedy:
          'As root: "systemctl enable --now trysail-capture", with nftables installed; its journal says why it does not stay.',
        cause: error,
      });
    });
  }

  /**
   * Replaces the rules in one transaction, once Envoy has its listeners, and asks the kernel whether they are there.
   * @param options.trialMs take them back then unless `confirm` is called, also when the agent has died
   * @throws TrysailError `CAPTURE_PLAN_INVALID`, `CAPTURE_REFUSED` with nft's complaint, `CAPTURE_HOLDER_MISSING`; what was
   * in force stays
   */
  async apply(plan: CapturePlan, options: { readonly trialMs?: number } = {}): Promise<AppliedCapture> {
    await this.start();
    let applied = await this.#load(plan, this.#ownable, options.trialMs);
    if (applied === 'unownable') {
      this.#ownable = false;
      this.#options.log.warn('this kernel has no owned tables: the rules end with their holder, not with the kernel');
      applied = await this.#load(plan, false, options.trialMs);
    }
    if (applied === 'unownable')
      throw new TrysailError('CAPTURE_REFUSED', 'the kernel has no owned tables, and keeps one that has an owner', {
        remedy: 'Remove it: trysail capture clean, as root.',
      });
    this.#applied = applied;
    return applied;
  }

  /** Keeps what is on trial. */
  async confirm(): Promise<void> {
    const trial = join(this.#options.dir, 'trial');
    const revision = await readFile(trial, 'utf8').catch(() => undefined);
    if (revision !== undefined) await this.#say(`confirm ${revision.trim()}`);
    await this.#until(START_MS, async () => !(await exists(trial)));
    if (this.#applied !== undefined) await this.#keepGuard();
  }

  /** Removes every rule and route of ours; the holder ends with it. */
  async clean(): Promise<void> {
    this.#applied = undefined;
    await rm(this.#options.guardFile, { force: true });
    if (!this.isAlive) {
      if (this.#options.script === undefined || !(await exists(this.#files.control))) return;
      // What is refused without a proxy has stayed without a holder.
      await this.start();
    }
    await this.#say('clean 0');
    await this.#until(START_MS, () => !this.isAlive);
  }

  /** Whether what was applied last is still in the kernel; asks it. */
  async verify(): Promise<boolean> {
    const applied = this.#applied;
    if (applied === undefined || !this.isAlive) return false;
    await truncate(this.#files.output).catch(() => undefined);
    await this.#say(`check ${applied.revision}`);
    const output = await this.#answer(applied.revision).catch(() => '');
    return output.includes(`chain revision_${applied.revision} {`);
  }

  /** Never rejects. */
  async status(): Promise<CaptureHolderStatus> {
    const pid = this.#pid();
    const onTrial = await exists(join(this.#options.dir, 'trial'));
    // Another one than that which was told the rules has none: a unit starts it again within an instant.
    return {
      alive: pid !== undefined,
      applied: pid !== undefined && pid === this.#toldTo ? this.#applied : undefined,
      onTrial,
    };
  }

  async #load(plan: CapturePlan, owned: boolean, trialMs: number | undefined): Promise<AppliedCapture | 'unownable'> {
    const { revision, text } = captureRuleset(plan, { owned });
    const { rules, output } = this.#files;
    await writeFileAtomic(rules, text, 0o640);
    await truncate(output).catch(() => undefined);
    this.#toldTo = this.#pid();
    await this.#say(trialMs === undefined ? `apply ${revision}` : `trial ${revision} ${Math.ceil(trialMs / 1000)}`);
    const answer = await this.#answer(revision);
    // An empty plan has no chain to be known by: then only a complaint about the rules themselves counts.
    const complaint = answer.includes(`chain revision_${revision} {`) ? undefined : nftError(answer, text);
    if (complaint !== undefined && owned && lacksOwner(answer, text)) return 'unownable';
    if (complaint !== undefined && !(plan.callers.length === 0 && plan.inbound.length === 0)) throw complaint;
    // On trial nothing is to outlive a reboot: that is another way out.
    this.#guard = guardOf(text);
    if (trialMs === undefined) await this.#keepGuard();
    return { revision, owned };
  }

  async #keepGuard(): Promise<void> {
    try {
      await writeFileAtomic(this.#options.guardFile, this.#guard, 0o640);
    } catch (error) {
      this.#options.log.warn(
        { file: this.#options.guardFile, error: errorMessage(error) },
        'what is to be refused without a proxy is not kept over a reboot',
      );
    }
  }

  async #spawn(script: string): Promise<void> {
    const { dir, guardFile } = this.#options;
    const child = spawn('/bin/sh', [script, dir, guardFile], { detached: true, stdio: 'ignore' });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    child.unref();
  }

  /** The process that owns the rules, if it lives. */
  #pid(): number | undefined {
    try {
      const pid = Number(readFileSync(this.#files.pid, 'utf8'));
      return readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === 'nft' ? pid : undefined;
    } catch {
      return undefined;
    }
  }

  /** One line into the FIFO; neither waits for a reader nor keeps it open. */
  async #say(line: string): Promise<void> {
    let file: Awaited<ReturnType<typeof open>>;
    try {
      file = await open(this.#files.control, constants.O_RDWR | constants.O_NONBLOCK);
    } catch (error) {
      throw new TrysailError(
        'CAPTURE_HOLDER_MISSING',
        `${this.#files.control} cannot be written: ${errorMessage(error)}`,
        {
          remedy:
            errorCode(error) === 'EACCES'
              ? 'Run the agent as the user of the unit.'
              : 'As root: systemctl start trysail-capture.',
          cause: error,
        },
      );
    }
    try {
      await file.write(`${line}\n`);
    } finally {
      await file.close();
    }
  }

  /** What nft has written once it has come to the revision, found or not. Its end ends the waiting. */
  async #answer(revision: string): Promise<string> {
    let output = '';
    const read = async (): Promise<boolean> => {
      output = await readFile(this.#files.output, 'utf8').catch(() => '');
      return output.includes(`revision_${revision}`) || /nft: (?:command )?not found/.test(output);
    };
    try {
      await this.#until(ANSWER_MS, async () => {
        if (await read()) return true;
        if (this.isAlive) return false;
        if (await read()) return true;
        throw new Error('it has ended');
      });
    } catch (error) {
      const said = output === '' ? '' : `: ${output}`;
      throw new TrysailError('CAPTURE_HOLDER_MISSING', `the holder of capture's rules does not answer${said}`, {
        remedy:
          'Rules stay only while an Envoy lives that was started after their holder: see that it runs, then look into the journal of trysail-capture.service.',
        cause: error,
      });
    }
    return output;
  }

  async #until(ms: number, done: () => boolean | Promise<boolean>): Promise<void> {
    const end = performance.now() + ms;
    while (!(await done())) {
      if (performance.now() > end) throw new Error(`not within ${ms} ms`);
      await sleep(POLL_MS);
    }
  }
}
